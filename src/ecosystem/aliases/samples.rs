//! A small sample of each YAML format, with each place in which the format names something.

/// Parser, path and text. A format with several kinds of files has several samples.
pub(super) const SAMPLES: &[(&str, &str, &str)] = &[
    (
        "kubernetes",
        "k8s/a.yaml",
        "apiVersion: v1
kind: Pod
spec:
  initContainers: [{image: 'a:1'}]
  containers: [{image: 'b:1'}, {name: c, image: 'c:1'}]
  volumes: [{image: {reference: 'd:1'}}]
  templates: [{container: {image: 'e:1'}}]
",
    ),
    (
        "kubernetes",
        "k8s/kustomization.yaml",
        "kind: Kustomization
images: [{name: a, newName: b, newTag: '1'}, {name: c, digest: 'sha256:00'}]
helmCharts: [{name: d, repo: 'https://h.example', version: 1.0.0}]
",
    ),
    (
        "kubernetes",
        "k8s/b.yaml",
        "apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Application, spec: {source: {chart: a, targetRevision: 1.0.0}, sources: [{chart: b, version: 2.0.0}]}}
- {apiVersion: v1, kind: HelmRelease, spec: {chart: {spec: {chart: c, version: 1.0.0}}}}
",
    ),
    (
        "gitlab-ci",
        ".gitlab-ci.yml",
        "spec: {inputs: {a: {default: b}}}
image: 'a:$A'
variables: {A: '1', B: {value: $A}}
services: ['b:1', {name: 'c:1'}]
.t: {image: 'd:$A', variables: {A: '2'}}
.u: {extends: [.t], services: [['e:1']]}
",
    ),
    (
        "gitlab-ci",
        ".gitlab-ci.yml",
        "include: ['https://h.example/a.yml', {project: g/a, ref: '1.0'}, {component: h.example/g/c@1.0.0}, {remote: 'https://h.example/r'}, {template: T.yml}]
.t: {image: 'd:$A', variables: {A: '2'}}
.u: {extends: .t}
j: {extends: [.t, .u], parallel: {matrix: [{A: ['1', '2'], B: x}]}}
k: {<<: [{image: 'f:1'}], trigger: {include: [{project: g/b}]}, run: [{name: s, step: g.example/s@1.0.0}, {step: {git: {url: 'https://h.example/s', rev: v1}}}]}
",
    ),
    (
        "github-workflow",
        ".github/workflows/a.yml",
        "jobs:
  a: {uses: o/r/.github/workflows/w.yml@v1}
  b: {container: {image: 'a:1'}, services: {s: {image: 'b:1'}, t: 'c:1'}, steps: [{uses: 'o/a@v1'}, {uses: 'docker://d:1'}]}
",
    ),
    (
        "github-workflow",
        "action.yml",
        "runs: {using: docker, image: 'docker://a:1', steps: [{uses: o/b@v2}]}\n",
    ),
    (
        "compose",
        "compose.yaml",
        "services:
  a: {image: 'a:${A:-1}'}
  b: {image: 'own:1', build: {context: ., additional_contexts: {c: 'docker-image://c:1'}, dockerfile_inline: \"FROM d:1\\nCOPY --from=e:1 a b\\n\"}}
",
    ),
    (
        "helm-chart",
        "Chart.yaml",
        "dependencies: [{name: a, version: 1.0.0, repository: 'https://h.example'}, {name: b, version: ^1.0.0}]\n",
    ),
    (
        "helm-values",
        "values.yaml",
        "image: {registry: r.example, repository: a/b, tag: '1', digest: 'sha256:00'}
web: {image: c/d, imageTag: '2'}
sidecarImage: 'e:1'
images: [{repository: f, tag: '1'}]
",
    ),
    (
        "devfile",
        "devfile.yaml",
        "components: [{container: {image: 'a:1'}}, {image: 'b:1'}]\n",
    ),
    (
        "pubspec",
        "pubspec.yaml",
        "dependencies: {a: ^1.0.0, b: {git: {url: 'https://h.example/b', ref: main}}, c: {hosted: {name: d, url: 'https://h.example'}, version: 1.0.0}, e: {git: 'https://h.example/e'}}
dev_dependencies: {f: {sdk: flutter}}
dependency_overrides: {g: 1.0.0, h: {path: ../h}}
name: a
workspace: [b, c/*]
",
    ),
    (
        "pubspec-lock",
        "pubspec.lock",
        "packages:
  a: {dependency: direct main, description: {name: a, url: 'https://h.example'}, source: hosted, version: 1.0.0}
  b: {dependency: transitive, description: {resolved-ref: 4c8b71f58cb8b9e042d6ab73303d63beee7c522b}, source: git}
",
    ),
    (
        "shard",
        "shard.yml",
        "dependencies: {a: {github: u/a, version: ~> 1.0}, b: {git: 'https://h.example/b', branch: main}}
development_dependencies: {c: {github: u/c, commit: 4c8b71f58cb8b9e042d6ab73303d63beee7c522b}, d: {github: u/d, tag: v1}}
",
    ),
    (
        "shard-lock",
        "shard.lock",
        "shards: {a: {git: 'https://h.example/a', version: 1.0.0}, b: {git: 'https://h.example/b', commit: 4c8b71f}}\n",
    ),
    (
        "stack",
        "stack.yaml",
        "packages: [., b]
extra-deps: [a-1.0.0, {git: 'https://h.example/b', commit: 4c8b71f58cb8b9e042d6ab73303d63beee7c522b, subdirs: [c, d/e]}, {archive: 'https://h.example/f-1.0.tar.gz'}, {github: u/g, commit: main}]\n",
    ),
    (
        "stack-lock",
        "stack.yaml.lock",
        "packages:
- {completed: {hackage: 'a-1.0.0@sha256:00'}}
- {completed: {name: b, version: 1.0.0}}
- {original: {name: c, commit: 4c8b71f58cb8b9e042d6ab73303d63beee7c522b}}
",
    ),
    (
        "podfile-lock",
        "Podfile.lock",
        "PODS: [{A (1.0): [B (~> 1.0), C]}, B (1.0), C (2.0)]
DEPENDENCIES: [A (~> 1.0), D (from `p`)]
EXTERNAL SOURCES: {D: {':path': p}}
",
    ),
    (
        "npm-workspace",
        "pnpm-workspace.yaml",
        "packages: ['a/*', b]
catalog: {a: ^1.0.0, b: 'npm:c@1.0.0'}
catalogs: {next: {a: ^2.0.0}, last: {a: 3.0.0}}
",
    ),
    (
        "pnpm-lock",
        "pnpm-lock.yaml",
        "lockfileVersion: '9.0'
importers: {.: {dependencies: {a: {specifier: ^1.0.0, version: 1.0.0}}, devDependencies: {b: {specifier: ^1.0.0, version: 1.0.0(a@1.0.0)}}, optionalDependencies: {c: {version: 1.0.0}}}}
packages: {a@1.0.0: {resolution: {integrity: x}}, b@1.0.0: {name: b, version: 1.0.0}, c@1.0.0: {resolution: {commit: 4c8b71f58cb8b9e042d6ab73303d63beee7c522b}}}
catalogs: {default: {a: {specifier: ^1.0.0, version: 1.0.0}}}
snapshots: {a@1.0.0: {dependencies: {b: 1.0.0(a@1.0.0)}, optionalDependencies: {c: 1.0.0}}, b@1.0.0(a@1.0.0): {dependencies: {a: 1.0.0}}}
",
    ),
    (
        "pnpm-lock",
        "pnpm-lock.yaml",
        "lockfileVersion: 5.4
dependencies: {a: 1.0.0}
devDependencies: {b: 1.0.0}
packages: {/a/1.0.0: {resolution: {integrity: x}, dependencies: {b: 1.0.0}, dev: false}, /b/1.0.0: {dev: true, optional: true}}
",
    ),
    (
        "yarn-lock",
        "yarn.lock",
        "__metadata: {version: 8}
'a@npm:^1.0.0, a@npm:^1.1.0': {version: 1.1.0, resolution: 'a@npm:1.1.0', dependencies: {b: 'npm:^1.0.0'}, optionalDependencies: {c: ^1.0.0}}
'b@npm:^1.0.0': {version: 1.0.0, resolution: 'b@npm:1.0.0'}
'c@npm:^1.0.0': {version: 1.0.0, resolution: 'c@npm:1.0.0'}
'root@workspace:.': {version: 0.0.0, resolution: 'root@workspace:.', dependencies: {a: 'npm:^1.0.0'}}
",
    ),
    (
        "conda-lock",
        "conda-lock.yml",
        "version: 1
package:
- {name: a, version: '1.0', manager: conda, platform: linux-64, category: main, dependencies: {b: '>=1'}}
- {name: b, version: '1.0', manager: pip, platform: linux-64, category: docs, optional: true, dependencies: [a >=1]}
",
    ),
    (
        "pixi-lock",
        "pixi.lock",
        "version: 6
packages:
- {conda: 'https://h.example/noarch/a-1.0-0.conda', depends: [b >=1, c]}
- {pypi: 'https://h.example/b-1.0-py3-none-any.whl', name: b, version: '1.0', requires_dist: [c>=1]}
- {kind: pypi, name: c, version: '1.0', url: 'https://h.example/c.zip'}
- {conda_source: 'd[00] @ git+https://h.example/d#4c8b71f', depends: [a]}
",
    ),
    (
        "spdx-yaml",
        "a.spdx.yaml",
        "spdxVersion: SPDX-2.3
documentDescribes: [SPDXRef-a]
packages:
- {SPDXID: SPDXRef-a, name: a, versionInfo: '1.0', externalRefs: [{referenceType: purl, referenceLocator: 'pkg:npm/a@1.0'}]}
- {SPDXID: SPDXRef-b, name: b, versionInfo: '1.0', externalRefs: [{referenceType: purl, referenceLocator: 'pkg:npm/b@1.0'}]}
- {SPDXID: SPDXRef-c, name: c, versionInfo: '1.0', externalRefs: [{referenceType: purl, referenceLocator: 'pkg:npm/c@1.0'}]}
relationships: [{spdxElementId: SPDXRef-a, relationshipType: DEPENDS_ON, relatedSpdxElement: SPDXRef-b}]
",
    ),
    (
        "kubernetes",
        "pipeline.yml",
        "j: {image: 'a:$A', stage: test, script: [make], services: ['b:1'], variables: {A: '1'}}
k: {extends: j, script: make}
",
    ),
    (
        "pre-commit",
        ".pre-commit-config.yaml",
        "repos:
- {repo: 'https://github.com/o/a', rev: v1, hooks: [{id: a, additional_dependencies: [b==1, c]}]}
- {repo: local, hooks: [{id: d, language: node, additional_dependencies: [e@1.0.0, f]}, {id: g, language: docker_image, entry: 'h:1 x'}]}
",
    ),
    (
        "circleci",
        ".circleci/config.yml",
        "parameters: {t: {type: string, default: '1'}}
orbs: {a: o/a@1.0.0, own: {orbs: {b: o/b@1.0.0}}}
executors: {e: {parameters: {u: {default: '2'}}, docker: [{image: 'a:<< parameters.u >>'}, {image: 'b:<< pipeline.parameters.t >>'}]}}
jobs: {j: {docker: [{image: 'c:<< parameters.v >>'}], steps: [checkout]}}
workflows: {w: {jobs: [{j: {matrix: {parameters: {v: ['1', '2']}}}}]}}
",
    ),
    (
        "bitbucket-pipelines",
        "bitbucket-pipelines.yml",
        "image: {name: 'a:1'}
definitions: {services: {s: {image: 'b:1'}, t: {image: {name: 'c:1'}}}, steps: [{step: {image: 'd:1', script: [make]}}]}
pipelines: {default: [{step: {script: [{pipe: 'docker://e:1'}, {pipe: 'o/f:1.0', variables: {A: b}}]}}]}
",
    ),
    (
        "cloud-build",
        "cloudbuild.yaml",
        "substitutions: {_A: '1', _B: $_A}
steps: [{name: 'a:$_A', args: [x]}, {name: 'b:1'}]
images: ['c:1', 'd:$_B']
",
    ),
    (
        "azure-pipelines",
        "azure-pipelines.yml",
        "variables: {a: '1'}
parameters: [{name: b, default: '2'}]
resources: {containers: [{container: c, image: 'c:$(a)'}, {container: d, image: 'd:1'}]}
jobs:
- {job: j, container: c, services: {s: d, t: 'e:1'}, steps: [{task: A@1}, {task: B@2, inputs: {x: y}}]}
- {job: k, variables: [{name: f, value: '3'}], strategy: {matrix: {m: {g: '4'}, n: {g: '5'}}}, container: {image: 'h:$(f)-$(g)-${{ parameters.b }}'}}
",
    ),
    (
        "kubernetes",
        "ci/steps.yml",
        "variables: [{name: a, value: '1'}]
steps: [{task: A@1}, {task: B@2, inputs: {x: y}}]
container: {image: 'a:$(a)'}
",
    ),
    (
        "kubernetes",
        "infra.yml",
        "include: [a.yml, {path: ['oci://o/a:1', 'https://h.example/b.git#v1']}]
services:
  a: {image: 'a:1', extends: {file: b.yml, service: s}}
  b: {image: 'b:1', build: {context: .}}
",
    ),
    (
        "kubernetes",
        "tekton.yml",
        "apiVersion: tekton.dev/v1
kind: Pipeline
spec:
  tasks:
  - {taskRef: {bundle: 'a:1'}}
  - {taskRef: {resolver: git, params: [{name: url, value: 'https://h.example/b'}, {name: revision, value: v1}]}}
  - {taskRef: {resolver: hub, params: [{name: name, value: c}, {name: version, value: '1'}]}}
  - {taskSpec: {params: [{name: p, default: '1'}], stepTemplate: {image: 'd:$(params.p)'}, steps: [{image: 'e:1'}, {ref: {resolver: bundles, params: [{name: bundle, value: 'f:1'}]}}]}}
",
    ),
    (
        "kubernetes",
        "skaffold.yaml",
        "apiVersion: skaffold/v4beta11
kind: Config
build: {artifacts: [{image: a, buildpacks: {builder: 'b:1', runImage: 'c:1'}}, {image: d}], googleCloudBuild: {koImage: 'e:1'}}
verify: [{container: {image: 'f:1'}}]
customActions: [{containers: [{image: 'g:1'}]}]
deploy: {helm: {releases: [{remoteChart: h, version: 1.0.0}, {chartPath: i}]}}
profiles: [{build: {artifacts: [{image: j, jib: {fromImage: 'k:1'}}]}}]
",
    ),
    (
        "helm-values",
        "chart/values.yaml",
        "image: {repository: a/b, tag: ''}
web: {image: {repository: c/d, tag: '', digest: ''}}
",
    ),
];
