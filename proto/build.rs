//! Compiles the protos with protox (no protoc) and keeps the descriptor bytes with extensions, with and without source info.

use std::{env, fs, path::PathBuf};

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=jianghan");
    println!("cargo:rerun-if-changed=google");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut files = Vec::new();
    collect(&root.join("jianghan"), &mut files)?;
    files.sort();

    let compile = |with_source_info| -> anyhow::Result<protox::Compiler> {
        let mut compiler = protox::Compiler::new([&root])?;
        compiler
            .include_imports(true)
            .include_source_info(with_source_info)
            .open_files(&files)
            .context("the protos do not compile")?;
        Ok(compiler)
    };
    // `encode_file_descriptor_set` keeps the extension options; `file_descriptor_set().encode_to_vec()` drops them.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let compiler = compile(true)?;
    fs::write(out.join("descriptors.binpb"), compiler.encode_file_descriptor_set())?;
    fs::write(out.join("bare_descriptors.binpb"), compile(false)?.encode_file_descriptor_set())?;

    let set = compiler.file_descriptor_set();
    events(&set, &out)?;
    tonic_prost_build::configure()
        .build_transport(false)
        // Request fingerprints hash the encoded message: map fields must encode in one order.
        .btree_map(".")
        .compile_fds(set)
        .context("code generation failed")?;
    Ok(())
}

/// Writes the `EventMessage` implementations: every message in a file named `events.proto`.
fn events(set: &prost_types::FileDescriptorSet, out: &std::path::Path) -> anyhow::Result<()> {
    let mut code = String::new();
    for file in &set.file {
        if !file.name().ends_with("/events.proto") {
            continue;
        }
        let module = file.package().trim_start_matches("jianghan.").replace('.', "::");
        for message in &file.message_type {
            if message.options.is_none() {
                continue; // a part of an event, not an event
            }
            code.push_str(&format!(
                "impl EventMessage for crate::{module}::{name} {{ const TYPE: &'static str = \"{package}.{name}\"; }}\n",
                name = message.name(),
                package = file.package(),
            ));
        }
    }
    fs::write(out.join("event_messages.rs"), code)?;
    Ok(())
}

fn collect(dir: &std::path::Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
