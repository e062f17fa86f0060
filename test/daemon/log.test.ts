import { readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openLog, scrub, scrubUrl } from '../../src/log.ts';
import { temporaryFolder } from '../helpers/folders.ts';
import { collector } from './world.ts';

const now = () => Date.parse('2021-03-04T05:06:07Z');
const lines = (text: string): Record<string, unknown>[] =>
	text
		.split('\n')
		.filter((line) => line !== '')
		.map((line) => JSON.parse(line) as Record<string, unknown>);

describe('the log', () => {
	it('is a JSON object a line with level and time, from its level up', async () => {
		const { stream, text } = collector();
		const { log } = await openLog({ level: 'info', format: 'auto', stream, now });
		log.debug({}, 'left out');
		log.info({ request_id: 'r-1' }, 'said');
		expect(lines(text())).toEqual([{ level: 'info', time: '2021-03-04T05:06:07.000Z', request_id: 'r-1', msg: 'said' }]);
	});

	it('is for people on a terminal', async () => {
		const { stream, text } = collector();
		const { log } = await openLog({ level: 'info', format: 'auto', stream: Object.assign(stream, { isTTY: true }), now });
		log.info({ request_id: 'r-1' }, 'said');
		expect(text()).toMatch(/INFO[^\n]*said/);
		expect(text()).not.toMatch(/^\{/);
	});

	it('hides tokens wherever they stand', async () => {
		const { stream, text } = collector();
		const { log } = await openLog({ level: 'info', format: 'json', stream, now });
		const secret = 'spa_super-secret';
		log.info(
			{
				token: secret,
				client_token: secret,
				authorization: secret,
				headers: { authorization: secret },
				body: { input: { client_token: secret } },
			},
			'a',
		);
		log.info({ path: `/x?token=${secret}&y=1`, url: `/x?client_token=${secret}` }, 'b');
		log.error({ err: new Error(`at mysql://u:${secret}@h/db`, { cause: new Error(`Bearer ${secret}`) }) }, 'c');
		expect(text()).not.toContain(secret);
		expect(lines(text())).toHaveLength(3);
	});

	it('blanks secret keys in lists and deep down, leaves the object itself as it is, and gets over one that holds itself', async () => {
		const { stream, text } = collector();
		const { log } = await openLog({ level: 'info', format: 'json', stream, now });
		const said = {
			tried: [{ password: 'p', user: 'u' }],
			a: { b: { c: { tokenRevealKey: { value: 'p' }, d: 1 } } },
			adminToken: undefined,
		};
		const round: Record<string, unknown> = { token: 'p' };
		round['round'] = round;
		const shared = { password: 'p' };
		const woven: Record<string, unknown>[] = Array.from({ length: 400 }, () => ({}));
		for (const each of woven) each['all'] = woven;
		log.info(said, 'a');
		log.info(round, 'b');
		log.info({ one: shared, two: [shared] }, 'c');
		log.info({ woven }, 'd');
		expect(lines(text())).toMatchObject([
			{ tried: [{ password: '***', user: 'u' }], a: { b: { c: { tokenRevealKey: '***', d: 1 } } }, msg: 'a' },
			{ token: '***', msg: 'b' },
			{ one: { password: '***' }, two: [{ password: '***' }], msg: 'c' },
			{ msg: 'd' },
		]);
		expect(text()).not.toContain('"p"');
		expect([said.tried[0]?.password, said.a.b.c.tokenRevealKey.value, round['token']]).toEqual(['p', 'p', 'p']);
	});

	it('says of an error what, where and why, and nothing a driver put beside it', async () => {
		const { stream, text } = collector();
		const { log } = await openLog({ level: 'info', format: 'json', stream, now });
		const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED', errno: -111, sql: 'select secret' });
		log.error({ err: new Error('no database', { cause }) }, 'failed');
		expect(lines(text())[0]?.['err']).toMatchObject({
			type: 'Error',
			message: 'no database',
			stack: expect.stringContaining('log.test.ts'),
			cause: { message: 'refused', code: 'ECONNREFUSED', errno: -111 },
		});
		expect(text()).not.toContain('select secret');
	});

	it('is also kept in app.log, and errors in error.log', async () => {
		const dir = join(temporaryFolder('log'), 'deep', 'logs');
		const { stream, text } = collector();
		const { log, close } = await openLog({ level: 'info', format: 'json', dir, stream, now });
		log.info({}, 'one');
		log.error({}, 'two');
		close();
		const messages = (name: string) => lines(readFileSync(join(dir, name), 'utf8')).map((line) => line['msg']);
		expect([messages('app.log'), messages('error.log'), lines(text()).length]).toEqual([['one', 'two'], ['two'], 2]);
		expect(statSync(join(dir, 'app.log')).mode & 0o007).toBe(0);
	});

	it('goes on in a new file after the old one was moved away', async () => {
		const dir = temporaryFolder('log');
		const { log, reopen, close } = await openLog({ level: 'info', format: 'json', dir, stream: collector().stream, now });
		log.info({}, 'before');
		renameSync(join(dir, 'app.log'), join(dir, 'app.log.1'));
		reopen();
		log.info({}, 'after');
		close();
		expect(readFileSync(join(dir, 'app.log'), 'utf8')).toContain('after');
	});

	it('into a folder that cannot be made is a mistake in the configuration', async () => {
		await expect(openLog({ level: 'info', format: 'json', dir: '/dev/null/logs', stream: collector().stream, now })).rejects.toMatchObject({
			code: 'CONFIG_INVALID',
		});
	});
});

describe('scrubbing', () => {
	it.each([
		['/events?token=abc', '/events?token=***'],
		['/x?a=1&client_token=abc&b=2', '/x?a=1&client_token=***&b=2'],
		['authorization: Bearer abc.def', 'authorization: Bearer ***'],
		['mysql://root:pa:ss@db:3306/spot', 'mysql://root:***@db:3306/spot'],
		['sqlite:/var/lib/spotctl.db', 'sqlite:/var/lib/spotctl.db'],
		['http://127.0.0.1:5000/a@b', 'http://127.0.0.1:5000/a@b'],
		['/api/agents/spt_Zr1mVtX7nYc4-pW2_Ld9/config', '/api/agents/spt_***/config'],
		['no instance "spa_q8Zr1mVtX7nYc4KpW2sLd9Ge"', 'no instance "spa_***"'],
		['the token spt_q8Zr1m was revoked', 'the token spt_q8Zr1m was revoked'],
	])('turns %s into %s', (text, expected) => {
		expect(scrub(text)).toBe(expected);
	});

	it.each([
		['/api/agents/%73pt%5FZr1mVtX7nYc4-pW2_Ld9/config', '/api/agents/spt_***/config'],
		['/api/agents/%zz%/spt_Zr1mVtX7nYc4-pW2_Ld9', '/api/agents/%zz%/spt_***'],
		['/api/agents/a%2Fb%20c', '/api/agents/a%2Fb%20c'],
	])('turns the address %s into %s', (url, expected) => {
		expect(scrubUrl(url)).toBe(expected);
	});
});
