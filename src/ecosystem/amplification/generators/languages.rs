//! Generators of manifests that are programs, of lock files, and of sources.

use super::{Generator, long, many};

pub(super) fn scripts() -> Vec<Generator> {
    vec![
        ("a repository of many gems", "Gemfile", |size| {
            let gems = many(size / 2, |number| format!("gem 'a{number}'\n"));
            format!("git '{}' do\n{gems}end\n", long(size / 2))
        }),
        ("blocks in a block", "Gemfile", |size| {
            let blocks = many(size / 2, |_| "if x\nend\n".to_owned());
            format!("git '{}' do\ngem 'a'\n{blocks}end\n", long(size / 2))
        }),
        ("a constant of many gems", "Gemfile", |size| {
            format!("A = '>= {}'\n", "1".repeat(290))
                + &many(size, |number| format!("gem 'a{number}', A\n"))
        }),
        ("a loop of many gems", "Gemfile", |size| {
            let list = many(3_900, |number| format!("a{number} "));
            format!("%w[{list}].each do |n|\n{}end\n", many(size, |_| "gem n\n".to_owned()))
        }),
        ("many loops over one list", "Gemfile", |size| {
            let list = many(3_900, |number| format!("a{number} "));
            format!("A = %w[{list}]\n") + &many(size, |_| "A.each { |n| gem n }\n".to_owned())
        }),
        ("many names of one list", "demo.gemspec", |size| {
            let list = many(3_900, |number| format!("a{number} "));
            let names = many(size, |number| format!("b{number} = A\n"));
            format!("A = %w[{list}]\n{names}b0.each {{ |n| s.add_dependency n }}\n")
        }),
        ("a list of many mentions", "setup.py", |size| {
            let list = many(size / 2, |number| format!("'a{number}',"));
            format!(
                "a = [{list}]\nsetup(install_requires=[{}])\n",
                many(size / 2, |_| "*a,".to_owned())
            )
        }),
        ("a text of many mentions", "setup.py", |size| {
            format!(
                "a = '{}'\nsetup(install_requires=[{}])\n",
                long(size / 2),
                many(size / 2, |_| "a,".to_owned())
            )
        }),
        ("a dictionary of many mentions", "setup.py", |size| {
            let entries = many(size / 2, |number| format!("'k{number}':['a{number}'],"));
            format!(
                "a = {{{entries}}}\nsetup(install_requires={}['b'])\n",
                many(size / 2, |_| "a['k1']+".to_owned())
            )
        }),
        ("a definition of a workspace", "Cargo.toml", |size| {
            let members = many(size / 2, |number| {
                format!("[target.t{number}.dependencies]\nx.workspace=true\n")
            });
            format!("[workspace.dependencies]\nx = {{ git = '{}' }}\n{members}", long(size / 2))
        }),
        ("a range of a workspace", "Cargo.toml", |size| {
            let members = many(size / 2, |number| {
                format!("[target.t{number}.dependencies]\nx.workspace=true\n")
            });
            format!("[workspace.dependencies]\nx = '={}'\n{members}", long(size / 2))
        }),
        ("a long directive", "go.mod", |size| {
            let lines = many(size / 2, |number| format!("a{number}\n"));
            format!("module a\nrequire b v1.0.0\n\"\\\\{}\" (\n{lines})\n", long(size / 2))
        }),
        ("a replacement", "go.mod", |size| {
            format!("replace a => {} v1.0.0\n", long(900))
                + &many(size, |_| "require a v1\n".to_owned())
        }),
        ("alternatives of a long name", "pyproject.toml", |size| {
            let alternatives = many(size / 2, |_| "{version='1'},".to_owned());
            format!("[tool.poetry.dependencies]\n{} = [{alternatives}]\n", long(size / 2))
        }),
        ("an override", "vcpkg.json", |size| {
            let version = long(3_900);
            let all = many(size, |_| "\"a\",".to_owned());
            format!(
                "{{\"overrides\":[{{\"name\":\"a\",\"version\":\"{version}\"}}],\"dependencies\":[{all}]}}"
            )
        }),
    ]
}

pub(super) fn locks() -> Vec<Generator> {
    fn deep() -> String {
        "a/".repeat(250)
    }
    vec![
        ("a long specifier", "deno.lock", |size| {
            let asked = many(size / 2, |_| "\"a\",".to_owned());
            let target = long(size / 2);
            format!(
                "{{\"version\":\"4\",\"specifiers\":{{\"a\":\"{target}\"}},\"npm\":{{\"b@1.0.0\":{{\"dependencies\":[{asked}]}}}}}}"
            )
        }),
        ("a deep importer", "package-lock.json", |size| {
            let names = many(size, |number| format!("\"d{number}\":\"1\","));
            format!(
                "{{\"lockfileVersion\":3,\"packages\":{{\"node_modules/a\":{{\"version\":\"1.0.0\"}},\"{}\":{{\"dependencies\":{{{names}}}}}}}}}",
                deep()
            )
        }),
        ("a deep place", "bun.lock", |size| {
            let names = many(size, |number| format!("\"d{number}\":\"1\","));
            format!(
                "{{\"lockfileVersion\":1,\"packages\":{{\"{}b\":[\"b@1.0.0\",\"\",{{\"dependencies\":{{{names}}}}}]}}}}",
                deep()
            )
        }),
        ("one that many require", "poetry.lock", |size| {
            let version = long(3_900);
            let all = many(size, |number| {
                format!(
                    "[[package]]\nname='p{number}'\nversion='1'\n[package.dependencies]\na='*'\n"
                )
            });
            format!("[[package]]\nname='a'\nversion='{version}'\n{all}")
        }),
        ("one that is required many times", "Cargo.lock", |size| {
            let version = long(3_900);
            let all = many(size, |_| format!("'a {}',\n", "x"));
            format!(
                "[[package]]\nname='a'\nversion='{version}'\nsource='s'\n[[package]]\nname='b'\nversion='1'\nsource='s'\ndependencies=['a',{all}]\n"
            )
        }),
        ("a long reference in JSON", "bom.json", |size| {
            let all = many(size / 2, |_| "\"a\",".to_owned());
            let components = "[{\"name\":\"a\",\"purl\":\"pkg:npm/a@1\",\"bom-ref\":\"a\"}]";
            format!(
                "{{\"bomFormat\":\"CycloneDX\",\"components\":{components},\"dependencies\":[{{\"ref\":\"{}\",\"dependsOn\":[{all}]}}]}}",
                long(size / 2)
            )
        }),
        ("a long reference in XML", "bom.xml", |size| {
            let all = many(size / 2, |_| "<dependency ref='a'/>".to_owned());
            format!(
                "<bom><components><component bom-ref='a'><name>a</name><purl>pkg:npm/a@1</purl></component></components><dependencies><dependency ref='{}'>{all}</dependency></dependencies></bom>",
                long(size / 2)
            )
        }),
        ("a long subject", "spdx.json", |size| {
            let all = many(size / 2, |_| "\"a\",".to_owned());
            let package = "{\"type\":\"software_Package\",\"spdxId\":\"a\",\"software_packageUrl\":\"pkg:npm/a@1\"}";
            format!(
                "{{\"@graph\":[{package},{{\"type\":\"Relationship\",\"relationshipType\":\"dependsOn\",\"from\":\"{}\",\"to\":[{all}]}}]}}",
                long(size / 2)
            )
        }),
    ]
}

pub(super) fn imports() -> Vec<Generator> {
    vec![
        ("names of a long module", "src/a.py", |size| {
            format!(
                "import b\nfrom {} import ({})\n",
                long(size / 2),
                many(size / 2, |number| format!("a{number},"))
            )
        }),
        ("many names", "src/a.py", |size| {
            format!("import {} b\n", many(size, |number| format!("a{number},")))
        }),
        ("selectors of a long package", "a.scala", |size| {
            format!(
                "import com.acme.b.C\nimport a.{}.{{{}}}\n",
                long(size / 2),
                many(size / 2, |number| format!("a{number},"))
            )
        }),
        ("many segments", "A.java", |size| {
            format!("import b.C;\nimport {}b;\n", many(size, |_| "a.".to_owned()))
        }),
        ("many packages", "a.scala", |size| {
            many(size, |_| "package abc\n".to_owned()) + "import com.acme.b.C\n"
        }),
    ]
}
