//! The operator's binary: runs the suite, or one service of it, and works on a running one.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jianghan::{bench, commands, out};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// 江汉 Jianghan: community governance for an urban district.
#[derive(Parser)]
#[command(version, about, long_about = None, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the whole suite on embedded defaults, play a day of requests, and serve the board until Ctrl-C.
    Up(commands::up::Args),
    /// Run one service (or the gateway) as a process of its own, configured by the environment.
    Serve(commands::serve::Args),
    /// Apply the migrations of one service or of all, then exit.
    Migrate(commands::serve::MigrateArgs),
    /// The key that seals the personal data of a suite: make that of a new one.
    Key(commands::key::Args),
    /// Put the demonstration district into identity's database, once, and write its accounts file.
    Seed(commands::seed::Args),
    /// Check and export the record of who looked at personal data and who gave and took roles, in identity's database
    /// (JIANGHAN_DATABASE_URL) with its key (JIANGHAN_KEY_FILE).
    Audit(commands::audit::Args),
    /// Play residents and everybody who serves them against a running suite, over its gRPC API only.
    Simulate(commands::simulate::Args),
    /// Compare what the services hold with one another; exit 1 if anything differs or events are under way.
    Reconcile(commands::reconcile::Args),
    /// Bring a district's history into a running suite: a file of cases, stopped and resumed at will.
    Import(commands::import::Args),
    /// Write lists of a running suite as CSV or XLSX, of any length.
    Export(commands::export::Args),
    /// The catalogue of service items as a file: check, import, export, put in force.
    Catalogue(commands::catalogue::Args),
    /// Ask the router of a running suite: where a matter would go, and why; the responsibility list as a file.
    Route(commands::route::Args),
    /// Look at events whose handling failed, try them again or give them up.
    Events(commands::events::Args),
    /// Look after the exchange with other systems: who they are, how their codes are mapped, which tickets do not arrive.
    Exchange(commands::exchange::Args),
    /// Make analytics' figures anew from its event log, print their digest, list hot spots and what became of them.
    Analytics(commands::analytics::Args),
    /// Due times by the working calendar, the days of a year, the yearly notice and orders about working hours: sign, import.
    Calendar(commands::calendar::Args),
    /// Compare process versions, streets under trial with their controls, or a street before and after a day.
    Process(commands::process::Args),
    /// Train a classifier of messages on the district's own history, measure it, ask it, bring it to a running suite.
    Classify(commands::classify::Args),
    /// Measure the running shapes; `infra/bench` calls it.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    // Some kernels hand out huge pages unasked, of which a service fills a part only: measured, they cost half its memory
    // and gain no time. A kernel without them has nothing to switch off.
    let _ = nix::sys::prctl::set_thp_disable(true);
    let cli = Cli::parse();
    if let Command::Serve(args) = cli.command {
        return commands::serve::run(&args); // a service brings its own runtime
    }
    if let Command::Classify(args) = cli.command {
        return exit(commands::classify::run(&args)); // mostly on files alone; what is not brings a runtime
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            out::aside(format_args!("jianghan: cannot start: {error}\n"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Up(args) => commands::up::run(args).await,
            Command::Serve(args) => Ok(commands::serve::run(&args)),
            Command::Migrate(args) => commands::serve::migrate(args).await,
            Command::Key(args) => commands::key::run(&args),
            Command::Seed(args) => commands::seed::run(args).await,
            Command::Audit(args) => commands::audit::run(args).await,
            Command::Simulate(args) => commands::simulate::run(args).await,
            Command::Reconcile(args) => commands::reconcile::run(args).await,
            Command::Import(args) => commands::import::run(args).await,
            Command::Export(args) => commands::export::run(args).await,
            Command::Catalogue(args) => commands::catalogue::run(args).await,
            Command::Route(args) => commands::route::run(args).await,
            Command::Events(args) => commands::events::run(args).await,
            Command::Exchange(args) => commands::exchange::run(args).await,
            Command::Analytics(args) => commands::analytics::run(args).await,
            Command::Process(args) => commands::process::run(args).await,
            Command::Calendar(args) => commands::calendar::run(args).await,
            Command::Classify(args) => commands::classify::run(&args),
            Command::Bench(args) => bench::run(args).await,
        }
    });
    exit(result)
}

fn exit(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            out::aside(format_args!("jianghan: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}
