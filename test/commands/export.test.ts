import { execFileSync, spawn } from 'node:child_process';
import {
	chmodSync,
	existsSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../helpers/folders.ts';

const ROOT = join(import.meta.dirname, '../..');
const SPOTCTL = join(ROOT, 'bin/spotctl');
const HEADER = 'Client ID,Name,Email,Total Savings ($),Active Instances,Active Agents,Created At';
const SHARES = 'Measured (%),Estimated (%),Unknown (%)';

type Ended = { readonly code: number | null; readonly out: string; readonly err: string };

describe('the built program, exporting', () => {
	const home = temporaryFolder('export-home');

	/** Runs a program that knows nothing but a home folder. */
	const run = (program: string, argv: readonly string[], cwd = home): Promise<Ended> =>
		new Promise((accept, reject) => {
			const child = spawn(program, argv, { cwd, env: { PATH: process.env['PATH'], HOME: home, NO_COLOR: '1' } });
			const said = { out: '', err: '' };
			child.stdout.setEncoding('utf8').on('data', (text: string) => {
				said.out += text;
			});
			child.stderr.setEncoding('utf8').on('data', (text: string) => {
				said.err += text;
			});
			child.once('error', reject);
			child.once('close', (code) => accept({ code, ...said }));
		});
	const local = ['--local', '--database', `sqlite:${join(home, 'test.db')}`];
	const stats = (cwd: string, ...more: string[]): Promise<Ended> => run(SPOTCTL, [...local, 'export', 'stats', ...more], cwd);

	beforeAll(async () => {
		execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: ROOT, stdio: 'pipe' });
		expect((await run(SPOTCTL, ['db', 'migrate', '--database', `sqlite:${join(home, 'test.db')}`])).code).toBe(0);
	}, 120_000);

	it('says how much is measured, unless it is told not to', async () => {
		expect(await stats(home)).toEqual({ code: 0, out: `${HEADER},${SHARES}\r\n`, err: '' });
		expect(await stats(home, '--no-shares', '--out', '-')).toEqual({ code: 0, out: `${HEADER}\r\n`, err: '' });
		expect(existsSync(join(home, '-'))).toBe(false);
	});

	it('keeps a link, and replaces what it leads to', async () => {
		const cwd = temporaryFolder('export-link');
		mkdirSync(join(cwd, 'data'));
		writeFileSync(join(cwd, 'data/real.csv'), 'older');
		chmodSync(join(cwd, 'data/real.csv'), 0o600);
		symlinkSync('data/real.csv', join(cwd, 'latest.csv'));
		symlinkSync('data/new.csv', join(cwd, 'dangling.csv'));
		symlinkSync('ring', join(cwd, 'ring'));
		expect(await stats(cwd, '--out', 'latest.csv')).toMatchObject({ code: 0, err: expect.stringContaining('data/real.csv') });
		expect([readlinkSync(join(cwd, 'latest.csv')), readFileSync(join(cwd, 'data/real.csv'), 'utf8')]).toEqual([
			'data/real.csv',
			`${HEADER},${SHARES}\r\n`,
		]);
		expect(statSync(join(cwd, 'data/real.csv')).mode & 0o777).toBe(0o600);
		expect((await stats(cwd, '--out', 'dangling.csv')).code).toBe(0);
		expect([lstatSync(join(cwd, 'dangling.csv')).isSymbolicLink(), existsSync(join(cwd, 'data/new.csv'))]).toEqual([true, true]);
		expect(await stats(cwd, '--out', 'ring')).toMatchObject({ code: 2, err: expect.stringContaining('cannot write') });
		expect([readdirSync(cwd).sort(), readdirSync(join(cwd, 'data')).sort()]).toEqual([
			['dangling.csv', 'data', 'latest.csv', 'ring'],
			['new.csv', 'real.csv'],
		]);
	});

	it('writes into a pipe that has a name, which stays one', async () => {
		const cwd = temporaryFolder('export-pipe');
		execFileSync('mkfifo', [join(cwd, 'pipe')]);
		const [read, written] = await Promise.all([run('cat', ['pipe'], cwd), stats(cwd, '--out', 'pipe')]);
		expect([written.code, read.out]).toEqual([0, `${HEADER},${SHARES}\r\n`]);
		expect([lstatSync(join(cwd, 'pipe')).isFIFO(), readdirSync(cwd)]).toEqual([true, ['pipe']]);
	});

	it('refuses a folder, and every format but CSV', async () => {
		const cwd = temporaryFolder('export-folder');
		mkdirSync(join(cwd, 'folder'));
		expect(await stats(cwd, '--out', 'folder')).toMatchObject({ code: 2, out: '', err: expect.stringContaining('it is a folder') });
		for (const format of ['json', 'jsonl', 'yaml', 'table', 'wide'])
			expect(await stats(cwd, '-o', format)).toMatchObject({
				code: 2,
				out: '',
				err: expect.stringContaining(`an export is CSV: there is none as ${format}`),
			});
		expect((await stats(cwd, '-o', 'csv')).code).toBe(0);
	});

	it('reads a bill of AWS, a packed one not, and knows a notification that nobody has', async () => {
		const cwd = temporaryFolder('export-bill');
		const time = '2026-11-01T00:00:00Z,2026-11-01T01:00:00Z';
		writeFileSync(
			join(cwd, 'cur.csv'),
			[
				'lineItem/ResourceId,lineItem/UsageStartDate,lineItem/UsageEndDate,lineItem/UnblendedCost,lineItem/LineItemType,lineItem/UsageType',
				`i-0abc,${time},0.04,Usage,USE1-SpotUsage:c5.large`,
				`i-0abc,${time},0.04,Usage,USE1-SpotUsage:c5.large`,
				`i-0abc,${time},-1.5,Credit,USE1-SpotUsage:c5.large`,
			].join('\r\n'),
		);
		expect(await run(SPOTCTL, [...local, 'savings', 'reconcile', 'cur.csv'], cwd)).toEqual({
			code: 0,
			out: 'i-0abc\t0.04\t0\t0.04\t3600\t0\tnot-booked\t0\t0\t0\ni-0abc\t0.04\t0\t0.04\t3600\t0\tduplicate\t0\t0\t0\n',
			err: [
				'1 × not-booked (no agent ever spoke of this machine): 0.040000 USD',
				'1 × duplicate (the bill holds this very line before): 0.040000 USD',
				'set against nothing, as no time of a machine: 1 line, -1.500000 USD',
				'  1 × Credit: -1.500000 USD',
				'billed 0.080000 USD, booked 0.000000 USD, difference 0.080000 USD\n',
			].join('\n'),
		});
		execFileSync('gzip', [join(cwd, 'cur.csv')]);
		expect(await run(SPOTCTL, [...local, 'savings', 'reconcile', 'cur.csv.gz'], cwd)).toMatchObject({
			code: 2,
			err: expect.stringContaining('cur.csv.gz is compressed with gzip, not CSV\n  unpack it first: gunzip -k "cur.csv.gz"'),
		});
		expect((await run(SPOTCTL, [...local, 'notifications', 'read', 'nope'])).code).toBe(5);
	});

	it.skipIf(!existsSync('/dev/full'))('says that the disk is full, with an exit code of its own, whatever it prints', async () => {
		for (const line of ['export stats', 'clients list -o json', '--help', 'export --help', 'help exit-codes', '--version']) {
			const { code, err } = await run('sh', ['-c', 'exec "$0" "$@" > /dev/full', SPOTCTL, ...local, ...line.split(' ')]);
			expect([line, code, err]).toEqual([
				line,
				11,
				'spotctl: cannot write to stdout: no space is left on the device (ENOSPC)\n  what is there is not whole: make room or write elsewhere, and run it again\n',
			]);
		}
	});
});
