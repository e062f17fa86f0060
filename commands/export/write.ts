import { open, rename, rm } from 'node:fs/promises';
import type { Download } from '../../src/contract/operation.ts';
import { SpotError } from '../../src/errors.ts';
import type { Context } from '../context.ts';

/** Where an export goes. */
export type Target = { readonly out?: string };

const cannotWrite = (file: string, error: unknown): SpotError =>
	new SpotError('invalid', 'CANNOT_WRITE', `cannot write "${file}": ${error instanceof Error ? error.message : String(error)}`, {
		hint: 'choose another file: --out FILE',
		cause: error,
	});

/** Writes beside the file, and moves it there when it is whole: nobody ever finds half of it. */
const writeFile = async ({ ids }: Context['host'], file: string, chunks: AsyncIterable<string>): Promise<void> => {
	const draft = `${file}.${ids.uuid()}.new`;
	const opened = await open(draft, 'wx', 0o640).catch((error: unknown) => {
		throw cannotWrite(file, error);
	});
	try {
		try {
			for await (const chunk of chunks) {
				await opened.writeFile(chunk).catch((error: unknown) => {
					throw cannotWrite(file, error);
				});
			}
			await opened.sync();
		} finally {
			await opened.close();
		}
		await rename(draft, file).catch((error: unknown) => {
			throw cannotWrite(file, error);
		});
	} catch (error) {
		await rm(draft, { force: true });
		throw error;
	}
};

/** Writes a download to stdout, or to the file of `--out` as a whole. Errors: CANNOT_WRITE; those of the download. */
export const writeExport = async (context: Context, { chunks }: Download, { out }: Target): Promise<void> => {
	if (out === undefined) {
		for await (const chunk of chunks) await context.print.text(chunk);
		return;
	}
	const { resolve } = await import('node:path');
	const file = resolve(context.host.cwd, out);
	await writeFile(context.host, file, chunks);
	context.note(`wrote ${file}`);
};
