// The first minutes of somebody who has just cloned this: an empty home, `npm start`, a client, an agent, a clean stop.
//   node scripts/smoke.mjs              what is committed
//   node scripts/smoke.mjs --worktree   what is in this folder now
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from './install.mjs';

const INSTALL_AND_START = 15 * 60_000;
const STOP = 30_000;

const folder = mkdtempSync(join(tmpdir(), 'spotctl-smoke-'));
const [home, clone] = [join(folder, 'home'), join(folder, 'clone')];
const env = { PATH: process.env.PATH, HOME: home };
const since = performance.now();
let output = '';

const step = (text) => console.log(`smoke ${((performance.now() - since) / 1000).toFixed(1).padStart(6)} s  ${text}`);

const check = (truth, text) => {
	if (!truth) throw new Error(text);
};

const ask = async (base, method, path, token, body) => {
	const answer = await fetch(`${base}${path}`, {
		method,
		headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
		...(body ? { body: JSON.stringify(body) } : {}),
		signal: AbortSignal.timeout(10_000),
	});
	const text = await answer.text();
	check(answer.status < 300, `${method} ${path} answered ${answer.status}: ${text.slice(0, 500)}`);
	return { status: answer.status, body: JSON.parse(text) };
};

const freePort = () =>
	new Promise((resolve, reject) => {
		const probe = createServer().once('error', reject);
		probe.listen(0, '127.0.0.1', () => {
			const { port } = probe.address();
			probe.close(() => resolve(port));
		});
	});

/** Processes of this smoke: nothing else runs with that home. */
const ours = () =>
	readdirSync('/proc')
		.filter((name) => /^\d+$/.test(name))
		.filter((pid) => {
			try {
				return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`HOME=${home}\0`);
			} catch {
				return false;
			}
		});

const copyTree = () => {
	mkdirSync(clone);
	const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
	for (const file of files.split('\0').filter(Boolean)) cpSync(join(root, file), join(clone, file), { force: true });
};

const filesBelow = (path) =>
	readdirSync(path, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name));

const untilHealthy = async (base, daemon) => {
	for (const until = performance.now() + INSTALL_AND_START; performance.now() < until; await sleep(250)) {
		check(
			daemon.exitCode === null && daemon.signalCode === null,
			`npm start ended with ${daemon.exitCode ?? daemon.signalCode} before /health answered`,
		);
		try {
			const answer = await fetch(`${base}/health`, { signal: AbortSignal.timeout(2000) });
			if (answer.ok) return;
		} catch {
			// Not listening yet.
		}
	}
	throw new Error(`/health did not answer within ${INSTALL_AND_START / 60_000} minutes`);
};

const smoke = async () => {
	mkdirSync(home);
	if (process.argv.includes('--worktree')) copyTree();
	else execFileSync('git', ['clone', '--quiet', root, clone], { stdio: 'inherit' });
	step(`${process.argv.includes('--worktree') ? 'copied the work tree' : 'cloned HEAD'} to ${clone}, with an empty home`);

	const port = await freePort();
	const base = `http://127.0.0.1:${port}`;
	const daemon = spawn('npm', ['start'], { cwd: clone, env: { ...env, SPOTCTL_PORT: String(port) }, stdio: ['ignore', 'pipe', 'pipe'] });
	const ended = new Promise((resolve) => daemon.once('exit', (code, signal) => resolve(code ?? signal)));
	for (const stream of [daemon.stdout, daemon.stderr]) {
		stream.setEncoding('utf8').on('data', (text) => {
			output += text;
		});
	}
	await untilHealthy(base, daemon);
	step(`npm start: ${base}/health answers`);
	check(!/\bwarn(ing)?\b/i.test(output.split('spotctl: building')[0]), 'the install printed a warning');

	const tokens = filesBelow(join(home, '.local/state/spotctl')).filter((path) => /token/i.test(path));
	check(tokens.length === 1, `expected one file with the admin token in ${home}/.local/state/spotctl, found ${tokens.length}`);
	const [tokenFile] = tokens;
	check((statSync(tokenFile).mode & 0o777) === 0o600, `${tokenFile} can be read by others`);
	const adminToken = readFileSync(tokenFile, 'utf8').trim();
	check(output.includes(tokenFile), 'npm start does not say where the admin token is');
	check(!output.includes(adminToken), 'npm start prints the admin token though it writes to a file');
	step(`the admin token is in ${tokenFile}`);

	const made = JSON.parse(
		execFileSync(join(clone, 'bin/spotctl'), ['clients', 'create', 'acme', '-o', 'json'], { cwd: folder, env, encoding: 'utf8' }),
	);
	const clientToken = made.client?.token;
	check(typeof clientToken === 'string', `clients create printed no client.token: ${JSON.stringify(made).slice(0, 500)}`);
	const clients = (await ask(base, 'GET', '/api/admin/clients', adminToken)).body.data;
	check(
		clients.some(({ name }) => name === 'acme'),
		`the client is not in the list: ${JSON.stringify(clients)}`,
	);
	step(`bin/spotctl clients create acme: client ${made.client.id}`);

	const agent = {
		logical_agent_id: 'smoke-1',
		instance_id: 'i-0123456789abcdef0',
		instance_type: 'c5.large',
		region: 'us-east-1',
		az: 'us-east-1a',
		mode: 'spot',
		agent_version: '4.0.0',
		public_ip: null,
	};
	const registered = await ask(base, 'POST', '/api/agents/register', clientToken, agent);
	check(
		registered.status === 200 && typeof registered.body.agent_id === 'string' && registered.body.agent_id !== '',
		`register answered ${JSON.stringify(registered)}`,
	);
	step(`an agent registered: ${registered.body.agent_id}`);

	daemon.kill('SIGTERM');
	const code = await Promise.race([ended, sleep(STOP, 'nothing', { ref: false })]);
	check(code === 0, `after SIGTERM npm start ended with ${code} instead of 0`);
	check(ours().length === 0, `processes are left: ${ours().join(' ')}`);
	step('stopped by SIGTERM with exit code 0, nothing left running');
};

try {
	await smoke();
	console.log('smoke passed');
} catch (error) {
	console.error(`smoke FAILED: ${error.message}`);
	if (error.stderr) console.error(String(error.stderr));
	console.error(`what npm start printed:\n${output.slice(-5000)}`);
	process.exitCode = 1;
} finally {
	for (const pid of ours()) process.kill(Number(pid), 'SIGKILL');
	rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}
