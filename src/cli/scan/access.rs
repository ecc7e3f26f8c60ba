//! Access to private repositories without a settings file: forges and tokens of the command line, the
//! environment and git's credential helper. Only for `scan`, whose user typed the targets.
//!
//! Input: options, environment variables, targets. Output: forges of the settings, with tokens. Invariants: each
//! token belongs to one origin, and a forge that the settings file names keeps its own; git sends these
//! tokens only to a server that asks for credentials.

use super::{
    super::output,
    credential_helper::{self, TOKEN_VARIABLES},
};
use crate::{
    config::{Config, Forge, ForgeKind},
    live::LiveJob,
    model::{
        Failure, FailureKind,
        address::Origin,
        git_url,
        proxy::{Proxy, ProxyAddress},
        task::Credentials,
    },
};
use clap::Args;
use secrecy::SecretString;
use std::{env, path::Path, str::FromStr};

/// The options about forges.
#[derive(Debug, Args)]
pub(super) struct AccessArgs {
    /// The kind of a forge of your own (gitlab, github, gitea, forgejo, bitbucket, bitbucket-server, azure,
    /// git), such as `gitlab=https://gitlab.example.com`, so that its groups can be listed. `GITLAB_TOKEN` is sent to that GitLab instead of gitlab.com,
    /// `GITHUB_TOKEN` only to github.com. May be repeated.
    #[arg(long = "forge", value_name = "KIND=URL")]
    forges: Vec<NamedForge>,
}

/// A forge with its kind.
#[derive(Debug, Clone)]
struct NamedForge {
    kind: ForgeKind,
    origin: Origin,
}

impl FromStr for NamedForge {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected gitlab=URL, or github, gitea, forgejo, bitbucket, bitbucket-server, azure or git";
        let (kind, url) = text.split_once('=').ok_or(expected)?;
        let known = ForgeKind::NAMES.into_iter().find(|(name, _)| *name == kind);
        let (_, kind) = known.ok_or(expected)?;
        let url = url::Url::parse(url).map_err(|_| "expected a URL such as gitlab=https://host")?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err("expected a URL with https or http");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "the URL must not contain credentials; set GITLAB_TOKEN or use git's credential helper",
            );
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("expected only scheme and host, such as gitlab=https://host");
        }
        Ok(Self { kind, origin: Origin::of(&url).ok_or("the URL has no host")? })
    }
}

/// Adds forges and tokens to the settings.
///
/// # Errors
/// What is contradictory, and what to do.
pub(super) fn grant(
    args: &AccessArgs,
    targets: &[String],
    config: &mut Config,
) -> Result<(), String> {
    add_forges(args, config)?;
    add_tokens(args, config, |variable| env::var(variable).ok())?;
    add_logins(targets, config, credential_helper::ask);
    add_proxy(config, |variable| env::var(variable).ok())?;
    Ok(())
}

fn add_forges(args: &AccessArgs, config: &mut Config) -> Result<(), String> {
    for NamedForge { kind, origin } in &args.forges {
        match config.forge(origin) {
            Some(known) if known.kind != *kind => {
                return Err(format!(
                    "--forge: the settings name {origin} as another kind of forge"
                ));
            }
            Some(_) => {}
            None => {
                config.network.trusted.push(origin.clone());
                config.forges.push(Forge::new(*kind, origin.clone()));
            }
        }
    }
    Ok(())
}

/// Adds the tokens of the environment.
fn add_tokens(
    args: &AccessArgs,
    config: &mut Config,
    variable_of: impl Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let gitlabs: Vec<&Origin> = args
        .forges
        .iter()
        .filter(|forge| forge.kind == ForgeKind::Gitlab)
        .map(|forge| &forge.origin)
        .collect();
    for (variable, kind) in TOKEN_VARIABLES.into_iter().zip([ForgeKind::Github, ForgeKind::Gitlab])
    {
        let Some(token) = variable_of(variable).filter(|token| !token.trim().is_empty()) else {
            continue;
        };
        let origin = match (kind, gitlabs.as_slice()) {
            (ForgeKind::Gitlab, [own]) => (*own).clone(),
            (ForgeKind::Gitlab, []) => public("gitlab.com"),
            (ForgeKind::Gitlab, _) => {
                return Err(format!(
                    "{variable} is sent to one GitLab only, and several are named by --forge: name one, or set \
                     their tokens under [[forges]] in a settings file (--config)"
                ));
            }
            _ => public("github.com"),
        };
        // A user name that both forges accept with any kind of token.
        set_token(config, kind, origin, "x-access-token", token.trim().to_owned());
    }
    Ok(())
}

/// Adds what git's credential helper knows about the origins of the targets.
fn add_logins(
    targets: &[String],
    config: &mut Config,
    ask: impl Fn(&Origin) -> Option<Credentials>,
) {
    for target in targets {
        let is_path = !target.is_empty() && Path::new(target).exists();
        let Some(origin) = git_url::typed_origin(target).filter(|_| !is_path) else { continue };
        if !matches!(origin.scheme.as_str(), "https" | "http")
            || config.credentials_for(&origin).is_some()
        {
            continue;
        }
        if let Some(login) = ask(&origin) {
            let kind = ForgeKind::of_public(&origin.host).unwrap_or(ForgeKind::Git);
            set_token(config, kind, origin, &login.username, login.password);
        }
    }
}

/// Uses the proxy of the environment for https, as curl does, unless the settings name one.
fn add_proxy(
    config: &mut Config,
    variable_of: impl Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let first = |names: [&str; 2]| {
        names.into_iter().filter_map(&variable_of).find(|text| !text.trim().is_empty())
    };
    let Some(text) =
        first(["https_proxy", "HTTPS_PROXY"]).filter(|_| config.network.proxy.is_none())
    else {
        return Ok(());
    };
    // The text is not repeated: it may contain a password.
    let ProxyAddress { url, username, password } = ProxyAddress::parse(&text).ok_or(
        "HTTPS_PROXY: expected http://[user:password@]host:port, or https; SOCKS is not supported",
    )?;
    let no_proxy = first(["no_proxy", "NO_PROXY"]).unwrap_or_default();
    let no_proxy = no_proxy.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
    let credentials = username.map(|username| Credentials {
        username,
        password: password.unwrap_or_default(),
        on_request: false,
    });
    config.network.proxy = Some(Proxy {
        url: url.into(),
        no_proxy: no_proxy.map(str::to_owned).collect(),
        https_only: true,
        credentials,
    });
    Ok(())
}

/// Gives a forge a token, unless it has one.
fn set_token(config: &mut Config, kind: ForgeKind, origin: Origin, username: &str, token: String) {
    let at = config.forges.iter().position(|forge| forge.origin == origin).unwrap_or_else(|| {
        config.forges.push(Forge::new(kind, origin));
        config.forges.len() - 1
    });
    if let Some(forge) = config.forges.get_mut(at).filter(|forge| forge.token.is_none()) {
        username.clone_into(&mut forge.username);
        forge.token = Some(SecretString::from(token));
        forge.token_on_request = true;
    }
}

fn public(host: &str) -> Origin {
    Origin { scheme: "https".to_owned(), host: host.to_owned(), port: 443 }
}

/// If a repository of a forge of unknown kind could not be fetched, says how to name the forge: its URL may be
/// that of a group, which no repository has.
pub(super) fn print_group_hint(config: &Config, job: &LiveJob) {
    let Some(repository) = job.repository(0) else { return };
    let failed = repository.failure.as_ref();
    let is_permanent = |failure: &Failure| failure.kind == FailureKind::Clone && failure.permanent;
    let url = repository.git_url.as_deref().filter(|url| !url.ends_with(".git"));
    let Some(url) = url.filter(|_| failed.is_some_and(is_permanent)) else { return };
    let Some(origin) = git_url::typed_origin(url) else { return };
    let is_named = config.forge(&origin).is_some_and(|forge| forge.kind != ForgeKind::Git);
    if !is_named && ForgeKind::of_public(&origin.host).is_none() {
        output::print_message(&format!(
            "if {} is a group: name the kind of its forge, such as --forge gitlab={origin} (or github, gitea, \
             bitbucket, bitbucket-server, azure)",
            output::printable(url)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn origin(url: &str) -> Origin {
        Origin::of(&url::Url::parse(url).unwrap()).unwrap()
    }

    /// Breaks if a token goes to another origin than its own.
    #[test]
    fn each_token_belongs_to_one_origin() {
        let own = "https://git.example";
        let token = |variable: &str| Some(format!("token of {variable}"));
        for (forges, expected) in [
            (&[][..], ["token of GITHUB_TOKEN", "token of GITLAB_TOKEN", "-", "-"]),
            (
                &["gitlab=https://git.example"],
                ["token of GITHUB_TOKEN", "-", "token of GITLAB_TOKEN", "-"],
            ),
            (
                &["github=https://git.example"],
                ["token of GITHUB_TOKEN", "token of GITLAB_TOKEN", "-", "-"],
            ),
            (
                &["git=https://git.example"],
                ["token of GITHUB_TOKEN", "token of GITLAB_TOKEN", "-", "-"],
            ),
        ] {
            let args =
                AccessArgs { forges: forges.iter().map(|text| text.parse().unwrap()).collect() };
            let mut config = Config::load(&Sources::default()).unwrap();
            add_forges(&args, &mut config).unwrap();
            add_tokens(&args, &mut config, token).unwrap();
            let found = ["https://github.com", "https://gitlab.com", own, "http://github.com"]
                .map(|url| config.credentials_for(&origin(url)))
                .map(|login| login.map_or("-".to_owned(), |login| login.password));
            assert_eq!(found, expected, "{forges:?}");
            let trusted: Vec<_> = config.network.trusted.iter().map(ToString::to_string).collect();
            assert_eq!(trusted.len(), forges.len(), "a token trusts nobody: {trusted:?}");
        }
        let several = ["gitlab=https://a.example", "gitlab=https://b.example"];
        let args = AccessArgs { forges: several.map(|text| text.parse().unwrap()).to_vec() };
        let mut config = Config::load(&Sources::default()).unwrap();
        add_forges(&args, &mut config).unwrap();
        assert!(add_tokens(&args, &mut config, token).unwrap_err().contains("one GitLab only"));
    }

    #[test]
    fn the_proxy_of_the_environment_is_for_https_alone() {
        let proxy = |variables: &[(&str, &str)]| {
            let mut config = Config::load(&Sources::default()).unwrap();
            let of = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            add_proxy(&mut config, of).map(|()| config.network.proxy)
        };
        assert_eq!(proxy(&[("HTTP_PROXY", "http://p:1"), ("HTTPS_PROXY", " ")]), Ok(None));
        let found =
            proxy(&[("HTTPS_PROXY", "http://u:pw@p:3128"), ("no_proxy", "a.example, .b.example")]);
        let found = found.unwrap().unwrap();
        assert_eq!((found.url.as_str(), found.https_only), ("http://p:3128/", true));
        assert_eq!(found.no_proxy, ["a.example", ".b.example"]);
        assert_eq!(found.credentials.unwrap().password, "pw");
        let error = proxy(&[("https_proxy", "socks5://u:secret@p:1080")]).unwrap_err();
        assert!(error.contains("SOCKS") && !error.contains("secret"), "{error}");
    }

    /// Breaks if a helper is asked about anything but the typed origins without a token.
    #[test]
    fn a_helper_is_asked_for_typed_origins_without_a_token() {
        let mut config = Config::load(&Sources::default()).unwrap();
        let args = AccessArgs { forges: Vec::new() };
        let github = |variable: &str| (variable == "GITHUB_TOKEN").then(|| "t".to_owned());
        add_tokens(&args, &mut config, github).unwrap();
        let targets = [
            "https://github.com/a/b",
            "git@git.example:a/b",
            "https://git.example/c",
            "https://none.example/d",
            ".",
            "not there",
        ];
        let asked = std::cell::RefCell::new(Vec::new());
        let ask = |origin: &Origin| {
            asked.borrow_mut().push(origin.to_string());
            let is_known = origin.host == "git.example";
            is_known.then(|| Credentials {
                username: "u".into(),
                password: "p".into(),
                on_request: true,
            })
        };
        add_logins(&targets.map(str::to_owned), &mut config, ask);
        assert_eq!(asked.into_inner(), ["https://git.example", "https://none.example"]);
        let login = config.credentials_for(&origin("https://git.example")).unwrap();
        assert!(login.on_request && login.username == "u");
    }

    #[test]
    fn a_forge_is_a_kind_and_an_origin() {
        let forge: NamedForge = "gitlab=https://Git.example:8443/".parse().unwrap();
        assert_eq!(forge.kind, ForgeKind::Gitlab);
        assert_eq!(forge.origin.to_string(), "https://git.example:8443");
        for (text, expected) in [
            ("https://git.example", "expected gitlab=URL"),
            ("gitbucket=https://git.example", "expected gitlab=URL"),
            ("gitlab=git.example", "expected a URL"),
            ("gitlab=ssh://git@git.example", "https or http"),
            ("gitlab=https://u:p@git.example", "must not contain credentials"),
            ("gitlab=https://git.example/group", "only scheme and host"),
        ] {
            let error = text.parse::<NamedForge>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
