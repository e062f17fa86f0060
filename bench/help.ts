import { spawnSync } from 'node:child_process';
import { median } from './drive.ts';
import { builtCli } from './servers.ts';

const TIMES = 15;

const timed = (args: readonly string[]): number => {
	const startedAt = performance.now();
	const { status } = spawnSync(process.execPath, args, { stdio: 'ignore' });
	if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}`);
	return performance.now() - startedAt;
};

/** Milliseconds of `spotctl --help` from the build and of a Node that does nothing, taken in turns. */
export const timeHelp = (): { readonly help: number; readonly nothing: number } => {
	const rounds = Array.from({ length: TIMES }, () => ({ nothing: timed(['-e', '0']), help: timed([builtCli, '--help']) }));
	return { help: median(rounds.map((each) => each.help)), nothing: median(rounds.map((each) => each.nothing)) };
};
