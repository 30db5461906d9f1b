//! `tls.ca_file`: the certificates of further authorities.
//!
//! Read and judged together with the configuration, so that a file that is missing or is something else
//! is a mistake that `check` finds, and not a provider that fails later. What the file holds becomes part
//! of the configuration, hence a renewed file counts from the next reload on.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::node::Node;
use super::reader::Reader;

const EXPECTED: &str = "the path of a PEM file with certificates";

/// The certificates in the file that `node` names, in DER; relative paths start from `folder`.
pub(super) fn read(
    node: &Node<'_>,
    folder: &Path,
    reader: &mut Reader<'_>,
) -> Option<Arc<[Vec<u8>]>> {
    let path = reader.filled_text(node, EXPECTED)?;
    let found = match reader.file(&folder.join(path)) {
        // As with variables: what is switched off may wait for its files.
        Err(_) if reader.switched_off => return None,
        Err(error) => format!("which cannot be read: {error}"),
        Ok(pem) => match certificates(&pem) {
            Ok(certificates) => return Some(certificates.into()),
            Err(reason) => reason.to_owned(),
        },
    };
    reader.error(
        node,
        format!("found {}, {found}; expected {EXPECTED}", node.shown()),
    );
    None
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| "which is no PEM file")?;
        certificates.push(certificate.as_ref().to_vec());
        RootCertStore::empty()
            .add(certificate)
            .map_err(|_| "in which a certificate is not valid")?;
    }
    match certificates.is_empty() {
        true => Err("which holds no certificate"),
        false => Ok(certificates),
    }
}

#[cfg(test)]
mod tests {
    use super::certificates;

    fn pem() -> String {
        let certified = rcgen::generate_simple_self_signed(["a.example".to_owned()]);
        certified.unwrap().cert.pem()
    }

    #[test]
    fn every_certificate_of_a_file_is_found() {
        let both = format!("# ours\n{}\nand theirs\n{}", pem(), pem());
        let found = certificates(both.as_bytes()).unwrap();
        assert_eq!(found.len(), 2);
        assert_ne!(found[0], found[1]);
    }

    #[test]
    fn what_is_no_certificate_is_told() {
        let begin = "-----BEGIN CERTIFICATE-----\n";
        let end = "\n-----END CERTIFICATE-----\n";
        let key = pem().replace("CERTIFICATE", "PRIVATE KEY");
        for (text, expected) in [
            ("", "which holds no certificate"),
            ("{}", "which holds no certificate"),
            (key.as_str(), "which holds no certificate"),
            (begin, "which is no PEM file"),
            (&format!("{begin}?{end}"), "which is no PEM file"),
            (
                &format!("{begin}aGVsbG8={end}"),
                "in which a certificate is not valid",
            ),
        ] {
            assert_eq!(certificates(text.as_bytes()), Err(expected), "{text}");
        }
    }
}
