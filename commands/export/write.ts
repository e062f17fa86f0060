import { constants } from 'node:fs';
import { lstat, open, readlink, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Option } from 'commander';
import type { Download } from '../../src/contract/operation.ts';
import { SpotError } from '../../src/errors.ts';
import type { Context } from '../context.ts';
import { isDeviceProblem, outputFailed } from '../streams.ts';

/** Where an export goes. */
export type Target = { readonly out?: string };

/** Whether an export says of each figure how much of it is measured. */
export type Shares = { readonly shares: boolean };

/** `--out FILE`. */
export const outOption = (): Option => new Option('--out <file>', 'write this file instead of stdout; - is stdout');

/** `--no-shares`. */
export const sharesOption = (): Option => new Option('--no-shares', 'leave out how much of each figure is measured, estimated and unknown');

const cannotWrite = (file: string, error: unknown): SpotError =>
	isDeviceProblem(error)
		? outputFailed(`"${file}"`, error)
		: new SpotError('invalid', 'CANNOT_WRITE', `cannot write "${file}": ${error instanceof Error ? error.message : String(error)}`, {
				hint: 'choose another file: --out FILE',
				cause: error,
			});

const isMissing = (error: unknown): boolean => (error as { code?: unknown }).code === 'ENOENT';

/** What `--out` names: a file that is replaced as a whole (its older self may have rights), or what is written to as it is: a pipe, a device. */
type Place =
	| { readonly kind: 'file'; readonly file: string; readonly mode: number | null }
	| { readonly kind: 'stream'; readonly file: string };

/** As many links as Linux follows. */
const MOST_LINKS = 40;

/** Where a path leads: links are followed, and stay. Errors: CANNOT_WRITE for a folder and for links in a ring. */
const placeOf = async (file: string, links = 0): Promise<Place> => {
	try {
		const found = await stat(file);
		if (found.isDirectory()) throw new Error('it is a folder');
		if (!found.isFile()) return { kind: 'stream', file };
		return { kind: 'file', file: await realpath(file), mode: found.mode & 0o777 };
	} catch (error) {
		if (!isMissing(error)) throw error;
	}
	const link = await lstat(file).catch((error: unknown) => {
		if (isMissing(error)) return null;
		throw error;
	});
	if (link === null) return { kind: 'file', file, mode: null };
	if (links === MOST_LINKS) throw new Error('too many links');
	return placeOf(resolve(await realpath(dirname(file)), await readlink(file)), links + 1);
};

/** Writes to a pipe or a device, which stays what it is. */
const writeStream = async (file: string, chunks: AsyncIterable<string>): Promise<void> => {
	const opened = await open(file, constants.O_WRONLY).catch((error: unknown) => {
		throw cannotWrite(file, error);
	});
	try {
		for await (const chunk of chunks) {
			await opened.writeFile(chunk).catch((error: unknown) => {
				throw cannotWrite(file, error);
			});
		}
	} finally {
		await opened.close();
	}
};

/** Writes beside the file, and moves it there when it is whole: nobody ever finds half of it. */
const writeFile = async (
	{ ids }: Context['host'],
	{ file, mode }: Extract<Place, { kind: 'file' }>,
	chunks: AsyncIterable<string>,
): Promise<void> => {
	const draft = `${file}.${ids.uuid()}.new`;
	const opened = await open(draft, 'wx', mode ?? 0o640).catch((error: unknown) => {
		throw cannotWrite(file, error);
	});
	const write = (work: Promise<unknown>): Promise<unknown> =>
		work.catch((error: unknown) => {
			throw cannotWrite(file, error);
		});
	try {
		try {
			if (mode !== null) await write(opened.chmod(mode));
			for await (const chunk of chunks) await write(opened.writeFile(chunk));
			await write(opened.sync());
		} finally {
			await opened.close();
		}
		await write(rename(draft, file));
	} catch (error) {
		await rm(draft, { force: true });
		throw error;
	}
};

/** An export is CSV. Errors: USAGE where `-o` asks for another format. */
const refuseOtherFormats = (context: Context): void => {
	const { output } = context.globals();
	if (output !== undefined && output !== 'csv')
		throw new SpotError('invalid', 'USAGE', `an export is CSV: there is none as ${output}`, {
			hint: `leave -o out; other formats: spotctl savings show -o ${output}, spotctl history switches -o ${output}`,
		});
};

/** Writes a download to stdout, or to what `--out` names. Errors: USAGE, CANNOT_WRITE, OUTPUT_FAILED; those of the download. */
export const writeExport = async (context: Context, { out }: Target, download: () => Promise<Download>): Promise<void> => {
	refuseOtherFormats(context);
	if (out === undefined || out === '-') {
		for await (const chunk of (await download()).chunks) await context.print.text(chunk);
		return;
	}
	const named = resolve(context.host.cwd, out);
	const place = await placeOf(named).catch((error: unknown) => {
		throw cannotWrite(named, error);
	});
	const { chunks } = await download();
	if (place.kind === 'stream') await writeStream(place.file, chunks);
	else await writeFile(context.host, place, chunks);
	context.note(`wrote ${place.file}`);
};
