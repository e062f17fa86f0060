import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'vitest';
import { emptyFolder } from './cli.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Runs the sources as a process of their own, as `bin/spotctl` does in a checkout. */
const start = (...argv: string[]) => {
	const home = emptyFolder();
	const child = spawn(process.execPath, ['--import', 'tsx', join(ROOT, 'bin/spotctl.ts'), ...argv], {
		cwd: ROOT,
		env: { PATH: process.env['PATH'], HOME: home },
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	const said = { out: '', err: '' };
	child.stdout.on('data', (chunk) => {
		said.out += String(chunk);
	});
	child.stderr.on('data', (chunk) => {
		said.err += String(chunk);
	});
	const ended = new Promise<{ code: number | null; out: string; err: string }>((done) =>
		child.on('close', (code) => done({ code, ...said })),
	);
	return { child, ended };
};

describe('the process', () => {
	test('prints help and exits 0', async ({ expect }) => {
		const { code, out, err } = await start('--help').ended;
		expect([code, err]).toEqual([0, '']);
		expect(out).toContain('  serve [options] ');
	});

	test('sets the exit code', async ({ expect }) => {
		const { code, err } = await start('health', '--server', 'http://127.0.0.1:1').ended;
		expect([code, err]).toEqual([
			7,
			'spotctl: no daemon answers at http://127.0.0.1:1\n  start one: spotctl serve  (or run with --local)\n',
		]);
		expect((await start('clients', 'lst').ended).code).toBe(2);
	});

	test('ends with 130 on Ctrl-C', async ({ expect }) => {
		let asked: () => void = () => undefined;
		const request = new Promise<void>((done) => {
			asked = done;
		});
		const silent = createServer(() => asked());
		await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done));
		const { child, ended } = start('health', '--server', `http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
		await request;
		child.kill('SIGINT');
		expect(await ended).toEqual({ code: 130, out: '', err: 'spotctl: interrupted\n' });
		silent.closeAllConnections();
		silent.close();
	});

	test('ends quietly when nobody reads its output', async ({ expect }) => {
		const { child, ended } = start('help', 'environment');
		child.stdout.destroy();
		const { code, err } = await ended;
		expect([code, err]).toEqual([0, '']);
	});
});
