//! `eddy completions`: what a shell needs to complete command lines.
//!
//! Owns: nothing; it is all made from the commands. Never does: install anything.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::CommandLine;

/// Arguments of `eddy completions`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CompletionsArguments {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// The script for a shell.
pub(crate) fn script(shell: Shell) -> String {
    let whole = CommandLine::command();
    // Hidden commands would be completed, too.
    let visible = whole.get_subcommands().filter(|command| !command.is_hide_set());
    let mut command = clap::Command::new("eddy")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommands(visible.cloned());
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "eddy", &mut script);
    String::from_utf8(script).expect("it is made of help texts")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_every_command() {
        assert_eq!(Shell::value_variants().len(), 5);
        for shell in Shell::value_variants() {
            let script = script(*shell);
            let commands = CommandLine::command();
            let commands = commands.get_subcommands().filter(|command| !command.is_hide_set());
            for command in commands {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
            assert!(
                !script.contains("rehearse"),
                "{shell}: what the program asks of itself is nobody's to ask"
            );
        }
    }

    #[test]
    fn bash_can_read_its_script() {
        let mut bash = Command::new("bash")
            .arg("-n")
            .stdin(Stdio::piped())
            .spawn()
            .expect("there is bash");
        let mut input = bash.stdin.take().expect("it is piped");
        input.write_all(script(Shell::Bash).as_bytes()).expect("bash reads it");
        drop(input);
        assert!(bash.wait().expect("it ends").success());
    }

    /// Asks bash itself: the script is sourced, and its function is called as the shell would.
    #[test]
    fn bash_completes_commands_and_options() {
        for (line, word, expected) in [("eddy pa", "pa", "pause"), ("eddy pause --ad", "--ad", "--admin")] {
            let count = line.split(' ').count();
            let ask = format!(
                "COMP_WORDS=({line}); COMP_CWORD={}; _eddy eddy {word} eddy; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
                count - 1
            );
            let whole = format!("{}\n{ask}\n", script(Shell::Bash));
            let output = Command::new("bash")
                .args(["-c", &whole])
                .output()
                .expect("there is bash");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.lines().any(|word| word == expected), "{line}: {said}");
        }
    }
}
