import { Command, type CommanderError, Option } from 'commander';
import { SpotError } from '../src/errors.ts';
import { type Context, createContext, type Globals, type Host } from './context.ts';
import { FORMATS } from './formats.ts';
import { GROUPS } from './groups.ts';
import { healthCommand } from './health.ts';
import { helpCommand } from './help.ts';
import { report } from './report.ts';
import { searchCommand } from './search.ts';
import { statsCommand } from './stats.ts';
import { readVersion } from './version.ts';

/** A command that another face of the program brings along. */
export type Attachment = (context: Context) => Command;

const createProgram = (): Command =>
	new Command('spotctl')
		.description('Runs fleets of AWS Spot instances: the daemon agents talk to, and the commands operators type')
		.version(readVersion(), '-V, --version', 'print the version')
		.helpCommand(false)
		.addOption(new Option('-o, --output <format>', 'format of what is printed').choices(FORMATS))
		.option('-q, --quiet', 'ids only, and no remarks')
		.option('--server <url>', 'address of the daemon')
		.option('--token-file <file>', 'file with the token to send; - reads stdin')
		.option('--local', 'work on the database itself, without a daemon')
		.option('--config <file>', 'configuration file')
		.option('--database <url>', 'sqlite:/path/file.db or mysql://user:password@host:port/name')
		.option('--state-dir <folder>', "folder of the daemon's state")
		.option('--color', 'colour even where it would not be used')
		.option('--no-color', 'no colour')
		.option('--debug', 'print requests and stack traces to stderr')
		.addHelpText(
			'after',
			'\nExamples:\n  $ spotctl serve\n  $ spotctl clients create acme\n  $ spotctl instances switch i-0abc --on-demand --wait\n\nTopics: spotctl help environment, exit-codes, output',
		);

/** Streams, exit and help the way this program does them, for a command and all below it. */
const dress = (command: Command, host: Host): void => {
	const columns = (stream: Host['stdout']) => () => stream.columns ?? 80;
	command
		.helpOption('-h, --help', 'print help')
		.configureOutput({
			writeOut: (text) => host.stdout.write(text),
			writeErr: (text) => host.stderr.write(text),
			outputError: () => undefined,
			getOutHelpWidth: columns(host.stdout),
			getErrHelpWidth: columns(host.stderr),
			getOutHasColors: () => false,
			getErrHasColors: () => false,
		})
		.configureHelp({ showGlobalOptions: true })
		.exitOverride((error) => {
			throw pointed(error, command);
		});
	for (const child of command.commands) dress(child, host);
};

const nameOf = (command: Command): string => (command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name());

/** A usage error with the command to ask for help, unless it already suggests something. */
const pointed = (error: CommanderError, command: Command): CommanderError => {
	if (error.exitCode !== 0 && error.code !== 'commander.help' && !error.message.includes('Did you mean'))
		error.message += `\nsee: ${nameOf(command)} --help`;
	return error;
};

/** Nouns are loaded when the command line has their name in it, so that `--help` costs no more than commander. */
const addGroups = async (program: Command, context: Context, words: ReadonlySet<string>): Promise<void> => {
	for (const { name, summary, load } of GROUPS) {
		const group = words.has(name) ? (await load())(context) : new Command(name);
		program.addCommand(group.description(summary).helpCommand(false));
	}
};

const showHelp = (program: Command, words: readonly string[]): void => {
	let command = program;
	for (const word of words) {
		const next = command.commands.find((child) => child.name() === word || child.aliases().includes(word));
		if (!next)
			throw new SpotError('invalid', 'USAGE', `there is no command or topic "${words.join(' ')}"`, { hint: 'see: spotctl --help' });
		command = next;
	}
	command.outputHelp();
};

/** Runs one command line and answers its exit code. Never throws; writes to the host's streams only. */
export const main = async (argv: readonly string[], host: Host, attachments: readonly Attachment[] = []): Promise<number> => {
	const program = createProgram();
	const context = createContext(host, () => program.opts<Globals>());
	try {
		for (const attach of attachments) program.addCommand(attach(context));
		await addGroups(program, context, new Set(argv));
		program.addCommand(healthCommand(context));
		program.addCommand(statsCommand(context));
		program.addCommand(searchCommand(context));
		program.addCommand(helpCommand(context, (words) => showHelp(program, words)));
		dress(program, host);
		if (argv.length === 0) program.outputHelp();
		else await program.parseAsync([...argv], { from: 'user' });
		await context.printed();
		return context.exitCode();
	} catch (error) {
		const code = report(error, context);
		if (code !== 0) return code;
		// Help is printed by commander, which does not look whether it was taken.
		return await context.printed().then(
			() => 0,
			(problem: unknown) => report(problem, context),
		);
	} finally {
		await context.close().catch((error: unknown) => report(error, context));
	}
};
