import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'vitest';
import { renderExample } from '../../src/config/example.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { describeConfig, maskUrl } from '../../src/config/show.ts';
import { type Sandbox, sandbox } from './sandbox.ts';

let box: Sandbox;
beforeEach(() => {
	box = sandbox();
});
afterEach(() => box.remove());

describe('config show', () => {
	test('names every setting once, with its value as it would be written and its origin', async ({ expect }) => {
		const shown = describeConfig(await box.load({ env: { SPOTCTL_PORT: '80', SPOTCTL_SERVER_CORS_ORIGINS: 'http://a' } }));
		expect(shown.map(({ key }) => key)).toEqual(SETTINGS.map(({ path }) => path));
		const find = (wanted: string) => shown.find(({ key }) => key === wanted);
		expect(find('server.port')).toEqual({ key: 'server.port', value: 80, origin: 'environment SPOTCTL_PORT', secret: false });
		expect(find('server.bodyLimit')?.value).toBe('1mb');
		expect(find('server.corsOrigins')?.value).toEqual(['http://a']);
		expect(find('agents.heartbeatTimeout')).toEqual({ key: 'agents.heartbeatTimeout', value: '2m', origin: 'default', secret: false });
		expect(find('client.token')).toEqual({ key: 'client.token', value: null, origin: 'default', secret: true });
	});

	test('never shows a secret', async ({ expect }) => {
		const secrets = ['Zk3vQ9xLw2RtY7bNc5Hd8JfM', 'q8q8q8Ab3dEf6hIj9k', 'hunter2hunter'];
		const [adminToken = '', token = '', password = ''] = secrets;
		const key = Buffer.from(`${adminToken}12345678`).toString('hex');
		const shown = describeConfig(
			await box.load({
				env: {
					SPOTCTL_ADMIN_TOKEN: adminToken,
					SPOTCTL_TOKEN: token,
					SPOTCTL_SECURITY_TOKEN_REVEAL_KEY: key,
					SPOTCTL_DATABASE_URL: `mysql://u:${password}@h/d?charset=utf8mb4`,
				},
			}),
		);
		const text = JSON.stringify(shown);
		for (const secret of [...secrets, key, Buffer.from(key, 'hex').toString('base64url')]) expect(text).not.toContain(secret);
		expect(shown.filter(({ value }) => value === '(set)').map(({ key: path }) => path)).toEqual([
			'security.adminToken',
			'security.tokenRevealKey',
			'client.token',
		]);
		expect(shown.find(({ key: path }) => path === 'database.url')?.value).toBe('mysql://u:***@h/d?charset=utf8mb4');
	});

	test('and neither does an error', async ({ expect }) => {
		const env = {
			SPOTCTL_DATABASE_URL: 'mysql://u:hunter2@h',
			SPOTCTL_SERVER: 'http://u:hunter2@h',
			SPOTCTL_TOKEN: 'hunter2 x',
			SPOTCTL_ADMIN_TOKEN: 'hunter2',
		};
		const { message, extras } = await box.refusal({ env });
		expect(message).toMatch(/^4 problems/);
		expect(JSON.stringify([message, extras])).not.toContain('hunter2');
	});
});

describe('maskUrl', () => {
	test.for([
		['mysql://u:p@h:3306/d', 'mysql://u:***@h:3306/d'],
		['mysql://u:p@s/s@h/d', 'mysql://u:***@h/d'],
		['mysql://:p@h/d', 'mysql://:***@h/d'],
		['mysql:/u:p@h/d', 'mysql:/u:***@h/d'],
		['u:p@h', 'u:***@h'],
		['mysql://u@h/d', 'mysql://u@h/d'],
		['mysql://h/d?password=p&a=1', 'mysql://h/d?password=***&a=1'],
		['sqlite:/a/b:c@d.db', 'sqlite:/a/b:c@d.db'],
		['http://localhost:5000', 'http://localhost:5000'],
	] as const)('%s becomes %s', ([url, masked], { expect }) => {
		expect(maskUrl(url)).toBe(masked);
	});
});

describe('config.example.yaml', () => {
	const committed = join(import.meta.dirname, '../../config.example.yaml');

	test('is what the schema renders (npx vitest run test/config -u writes it)', async ({ expect }) => {
		await expect(renderExample()).toMatchFileSnapshot(committed);
	});

	test('says nothing as it is, and the defaults when its keys are uncommented', async ({ expect }) => {
		const text = readFileSync(committed, 'utf8');
		box.write('work/spotctl.config.yaml', text);
		const plain = await box.load();
		box.write('work/spotctl.config.yaml', text.replace(/^# /gm, ''));
		const uncommented = await box.load();
		expect([plain.files.length, uncommented.files.length]).toEqual([1, 1]);
		expect(uncommented.config).toEqual(plain.config);
		expect([...uncommented.origins.values()].filter(({ kind }) => kind === 'file').length).toBeGreaterThan(20);
	});

	test('mentions every setting and every variable', ({ expect }) => {
		const text = renderExample();
		for (const { env, keys } of SETTINGS) for (const name of [...env, `${keys.at(-1)}:`]) expect(text).toContain(name);
	});
});
