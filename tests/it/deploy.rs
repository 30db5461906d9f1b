//! What is delivered beside the program fits the program.

use std::process::Command;

/// The manifests parse, fit each other and the gateway, and the configuration in them is accepted.
#[test]
fn the_manifests_for_kubernetes_fit_the_gateway() {
    let checked = Command::new("python3")
        .arg("tests/deploy/kubernetes.py")
        .arg(env!("CARGO_BIN_EXE_api-gateway"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}
