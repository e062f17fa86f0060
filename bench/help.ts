import { spawnSync } from 'node:child_process';
import { median } from './drive.ts';
import { cli } from './servers.ts';

const TIMES = 15;

const timed = (command: string, ...args: readonly string[]): number => {
	const startedAt = performance.now();
	const { status } = spawnSync(command, args, { stdio: 'ignore' });
	if (status !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${status}`);
	return performance.now() - startedAt;
};

/** Milliseconds of `bin/spotctl --help` from the build and of a Node that does nothing, taken in turns. */
export const timeHelp = (): { readonly help: number; readonly nothing: number } => {
	const rounds = Array.from({ length: TIMES }, () => ({ nothing: timed(process.execPath, '-e', '0'), help: timed(cli, '--help') }));
	return { help: median(rounds.map((each) => each.help)), nothing: median(rounds.map((each) => each.nothing)) };
};
