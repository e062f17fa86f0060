import { describe, expect, it } from 'vitest';
import { iso } from '../../src/contract/index.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import type { Reply } from '../helpers/world.ts';
import { type AgentScene, joinAgent, makeAgent, newMachine, orderSwitch } from './agent-scene.ts';
import { booksOf, DAY, HOUR, MINUTE, SECOND } from './ledger-scene.ts';
import { imminent, readyReplica } from './replica-scene.ts';

describeEachDatabase('the books', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });

	const { alive, costs, settle, summary, explained, recomputed, micros, amountOf } = booksOf(world);

	it('count a stay without a switch at its true figure, measured (D-34, D-36)', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.03);
		const priced = world.now();
		await settle();
		await alive(HOUR, agent.client, [agent.id]);
		const figures = await summary(agent.client);
		const seconds = (world.now() - priced) / 1000;
		expect(micros(figures.baseline)).toBeCloseTo(amountOf(0.085, seconds), -1);
		expect(micros(figures.actual)).toBeCloseTo(amountOf(0.03, seconds), -1);
		expect(figures.savings).toBeCloseTo(figures.baseline - figures.actual, 9);
		expect(figures.shares).toMatchObject({ estimated: 0 });
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('hold each second of each machine of a switch once, the overlap as a line of its own', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		const [from, t0] = [world.now(), world.now()];
		await alive(20 * MINUTE, agent.client, [agent.id]);
		await costs(agent, agent.id, 'a', 0.05);
		const t1 = world.now();
		await alive(10 * MINUTE, agent.client, [agent.id]);
		await costs(agent, agent.id, 'a', 0.05);
		await agent.client.poll(agent.id);
		await orderSwitch(agent.client, agent.instanceId, agent.id, 'ondemand');
		const t2 = world.now();
		const next = await joinAgent(agent, 'b', { mode: 'ondemand' });
		await costs(agent, next.handle, 'b', null);
		await alive(10 * MINUTE, agent.client, [next.handle]);
		const [due, t3] = [t2 + 5 * MINUTE, world.now()];
		expect((await agent.client.terminated(next.handle, agent.instanceId)).status).toBe(200);
		await alive(5 * MINUTE, agent.client, [next.handle]);
		await settle();
		const { segments } = await explained(agent.id, iso(from).slice(0, 7));
		const rows = segments.map(({ instanceId, line, quality, start, end, cost, baseline, priceSource, closedBy }) => [
			instanceId === agent.instanceId ? 'old' : 'new',
			line,
			quality,
			Date.parse(start),
			closedBy === 'open' ? 'now' : Date.parse(end),
			micros(cost),
			micros(baseline),
			priceSource,
		]);
		const spent = (usd: number, a: number, b: number) => amountOf(usd, (b - a) / 1000);
		expect(rows.slice(0, 4)).toEqual([
			['old', 'primary', 'measured', t0, t1, spent(0.04, t0, t1), spent(0.085, t0, t1), 'own'],
			['old', 'primary', 'measured', t1, t2, spent(0.05, t1, t2), spent(0.085, t1, t2), 'own'],
			['old', 'overlap', 'estimated', t2, due, spent(0.05, t2, due), 0, 'last'],
			['old', 'zombie', 'estimated', due, t3, spent(0.05, due, t3), 0, 'last'],
		]);
		expect(rows.slice(4).map((row) => [row[0], row[1], row[2], row[7]])).toEqual([['new', 'primary', 'measured', 'own']]);
		const figures = await summary(agent.client);
		const sum = (of: (segment: (typeof segments)[number]) => number) => segments.reduce((total, segment) => total + micros(of(segment)), 0);
		expect(micros(figures.actual)).toBe(sum(({ cost }) => cost));
		expect(micros(figures.baseline)).toBe(sum(({ baseline }) => baseline));
		expect(micros(figures.overlapCost)).toBe(spent(0.05, t2, due));
		expect(micros(figures.zombieCost)).toBe(spent(0.05, due, t3));
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('leave the time of a silent primary unknown, and go on when it calls', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await agent.client.heartbeat(agent.id);
		const heard = world.now();
		await world.advance(10 * MINUTE, 2 * SECOND);
		await agent.client.heartbeat(agent.id);
		const back = world.now();
		await settle();
		const { segments } = await explained(agent.id);
		expect(segments.map(({ quality, end, closedBy, cost }) => [quality, closedBy === 'open' ? null : Date.parse(end), cost > 0])).toEqual([
			['measured', heard + 2 * MINUTE, true],
			['unknown', back, false],
			['measured', null, true],
		]);
		expect((await summary(agent.client)).shares.unknown).toBeGreaterThan(50);
	});

	/** Lets things happen between two looks of the ledger job. */
	const unseen = async (work: () => Promise<unknown>) => {
		await settle();
		expect((await world.admin.call('pauseJob', { name: 'ledger' })).status).toBe(200);
		await work();
		expect((await world.admin.call('resumeJob', { name: 'ledger' })).status).toBe(200);
		await settle();
	};

	it('end a silence with the first call, whatever else came before the job looked', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await agent.client.heartbeat(agent.id);
		await world.advance(10 * MINUTE, 2 * SECOND);
		let back = 0;
		await unseen(async () => {
			await agent.client.heartbeat(agent.id);
			back = world.now();
			await world.advance(20 * SECOND, 2 * SECOND);
			await agent.client.heartbeat(agent.id);
		});
		const { segments } = await explained(agent.id);
		expect(segments.map(({ quality, end, closedBy }) => [quality, closedBy === 'open' ? null : Date.parse(end)])).toMatchObject([
			['measured', expect.any(Number)],
			['unknown', back],
			['measured', null],
		]);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('take the price of the pool for a machine that has not said its own, also where it says it before the job looks', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'b', 0.031);
		await costs(agent, agent.id, 'a', 0.04);
		await agent.client.poll(agent.id);
		await orderSwitch(agent.client, agent.instanceId, agent.id, 'b');
		const instanceId = newMachine();
		let [named, called] = [0, 0];
		await unseen(async () => {
			expect((await agent.client.report(agent.id, instanceId)).status).toBe(200);
			named = world.now();
			await world.advance(20 * SECOND, 2 * SECOND);
			const { body } = await agent.client.register(instanceId, { logical_agent_id: agent.logicalId, az: 'us-east-1b' });
			called = world.now();
			await costs(agent, body.agent_id, 'b', 0.032);
		});
		const segments = (await explained(agent.id)).segments.filter((segment) => segment.instanceId === instanceId);
		expect(
			segments.map(({ line, quality, start, end, price }) => [line, quality, Date.parse(start), Date.parse(end), price]),
		).toMatchObject([
			['primary', 'estimated', named, called, 0.031],
			['primary', 'measured', called, expect.any(Number), 0.032],
		]);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it.each([
		['said that it goes offline', (agent: AgentScene, handle: string, _: string) => agent.client.heartbeat(handle, { status: 'offline' })],
		['was uninstalled', (agent: AgentScene, _: string, id: string) => agent.client.call('uninstallHost', { instance_id: id })],
	] as const)('vouch for no standby that %s, until it calls again', async (_, leave) => {
		const { agent, replica } = await readyReplica(world);
		await costs(agent, replica.handle, 'b', 0.04);
		await alive(5 * MINUTE, agent.client, [agent.id, replica.handle]);
		expect((await leave(agent, replica.handle, replica.instanceId)).status).toBe(200);
		const left = world.now();
		await world.advance(30 * SECOND, 2 * SECOND);
		await agent.client.heartbeat(replica.handle);
		const back = world.now();
		await settle();
		const own = (await explained(agent.id)).segments.filter(({ instanceId }) => instanceId === replica.instanceId);
		expect(own.slice(-3).map(({ quality, start }) => [quality, Date.parse(start)])).toMatchObject([
			['measured', expect.any(Number)],
			['unknown', left],
			['measured', back],
		]);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('count the last price a machine said, also where it ended before the job read it', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await agent.client.poll(agent.id);
		await orderSwitch(agent.client, agent.instanceId, agent.id, 'b');
		await settle();
		await costs(agent, agent.id, 'a', 0.05);
		const said = world.now();
		await world.advance(4 * SECOND, 2 * SECOND);
		const next = await joinAgent(agent, 'b');
		const moved = world.now();
		await world.advance(4 * SECOND, 2 * SECOND);
		expect((await agent.client.terminated(next.handle, agent.instanceId)).status).toBe(200);
		const ended = world.now();
		await settle();
		const old = (await explained(agent.id)).segments.filter(({ instanceId }) => instanceId === agent.instanceId);
		expect(old.slice(-2).map(({ line, price, start, end }) => [line, price, Date.parse(start), Date.parse(end)])).toEqual([
			['primary', 0.05, said, moved],
			['overlap', 0.05, moved, ended],
		]);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('call what a machine costs an estimate from two hours after its last report on, also today', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		const said = world.now();
		await alive(2 * HOUR + 5 * MINUTE, agent.client, [agent.id]);
		const { segments } = await explained(agent.id);
		expect(segments.at(-1)).toMatchObject({ quality: 'estimated', price: 0.04, closedBy: 'open' });
		expect(Date.parse(segments.at(-1)?.start ?? '')).toBe(said + 2 * HOUR);
		await costs(agent, agent.id, 'a', 0.04);
		await settle();
		expect((await explained(agent.id)).segments.at(-1)).toMatchObject({ quality: 'measured', price: 0.04 });
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('believe for two hours what others say of a machine that says nothing of its price', async () => {
		const other = await makeAgent(world);
		await costs(other, other.id, 'a', 0.04);
		await settle();
		const mute = await makeAgent(world);
		await settle();
		const begun = Date.parse((await explained(mute.id)).segments.at(-1)?.start ?? '');
		expect((await explained(mute.id)).segments.at(-1)).toMatchObject({ quality: 'measured', price: 0.04, priceSource: 'quote' });
		await alive(2 * HOUR + 5 * MINUTE, mute.client, [mute.id]);
		const { segments } = await explained(mute.id);
		expect(segments.at(-1)).toMatchObject({ quality: 'estimated', price: 0.04, start: iso(begun + 2 * HOUR) });
		expect((await recomputed(mute.client)).changed).toBe(0);
	});

	it.each([
		['said that it goes offline', (agent: AgentScene) => agent.client.heartbeat(agent.id, { status: 'offline' })],
		['was uninstalled', (agent: AgentScene) => agent.client.call('uninstallHost', { instance_id: agent.instanceId })],
		['said that its machine ended', (agent: AgentScene) => agent.client.call('hostEnded', { agent_id: agent.id })],
	] as const)('vouch for no primary that %s, until it calls again', async (_, leave) => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await agent.client.heartbeat(agent.id);
		await world.advance(10 * SECOND);
		expect((await leave(agent)).status).toBe(200);
		const left = world.now();
		await world.advance(HOUR, MINUTE);
		const gone = (await explained(agent.id)).segments;
		expect(gone.map(({ quality, start }) => [quality, quality === 'unknown' ? Date.parse(start) : null])).toEqual([
			['measured', null],
			['unknown', left],
		]);
		await agent.client.heartbeat(agent.id);
		await settle();
		expect((await explained(agent.id)).segments.map(({ quality }) => quality)).toEqual(['measured', 'unknown', 'measured']);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('begin with the machines that live, and vouch for none that was silent already', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await agent.client.heartbeat(agent.id);
		await world.advance(10 * MINUTE, 2 * SECOND);
		await world.store.transact(async (tx) => {
			for (const table of ['cost_segment', 'ledger_host', 'ledger_total', 'ledger_fact', 'ledger_state'] as const)
				await tx.deleteFrom(table).execute();
		});
		await settle();
		await world.advance(HOUR, MINUTE);
		expect((await explained(agent.id)).segments.map(({ quality, cost }) => [quality, cost])).toEqual([['unknown', 0]]);
		await agent.client.heartbeat(agent.id);
		await costs(agent, agent.id, 'a', 0.04);
		await settle();
		await agent.client.heartbeat(agent.id);
		expect((await explained(agent.id)).segments.at(-1)).toMatchObject({ quality: 'measured', price: 0.04, closedBy: 'open' });
	});

	it('vouch for nobody while no daemon listened, even where every machine calls at once afterwards', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await alive(5 * MINUTE, agent.client, [agent.id]);
		await settle();
		const before = world.now();
		await world.stop(0, 'kill');
		await world.advance(HOUR, MINUTE);
		await world.restart(0);
		await agent.client.heartbeat(agent.id);
		await settle();
		await agent.client.heartbeat(agent.id);
		await settle();
		const { figures, segments } = await explained(agent.id);
		const unknown = segments.filter(({ quality }) => quality === 'unknown');
		expect(unknown).toHaveLength(1);
		expect(Date.parse(unknown[0]?.start ?? '')).toBeGreaterThan(before - 2 * MINUTE);
		expect(unknown[0]?.seconds).toBeGreaterThan(3400 - 120);
		expect(figures.shares.unknown).toBeGreaterThan(80);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('cost nothing for a machine that AWS took back in its first hour, and say so', async () => {
		const { agent, replica } = await readyReplica(world);
		await costs(agent, agent.id, 'a', 0.04);
		await alive(5 * MINUTE, agent.client, [agent.id, replica.handle]);
		await imminent(world, agent, agent.id);
		await alive(5 * MINUTE, agent.client, [replica.handle]);
		await settle();
		const { segments } = await explained(agent.id);
		const old = segments.filter(({ instanceId }) => instanceId === agent.instanceId);
		expect(old.length).toBeGreaterThan(0);
		expect(
			old.filter(({ quality }) => quality !== 'unknown').every(({ cost, priceSource }) => cost === 0 && priceSource === 'aws-first-hour'),
		).toBe(true);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('end with the deletion of the agent and begin again with its restoration', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await alive(5 * MINUTE, agent.client, [agent.id]);
		expect((await agent.client.remove(agent.id)).status).toBe(200);
		await settle();
		const ended = await summary(agent.client);
		await world.advance(HOUR, MINUTE);
		const later = await summary(agent.client);
		expect([later.actual, later.baseline, later.shares]).toEqual([ended.actual, ended.baseline, ended.shares]);
		expect((await world.admin.restore(agent.id)).status).toBe(200);
		await agent.client.heartbeat(agent.id);
		await costs(agent, agent.id, 'a', 0.04);
		await alive(5 * MINUTE, agent.client, [agent.id]);
		await settle();
		expect((await summary(agent.client)).actual).toBeGreaterThan(ended.actual);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it.each([
		['20 s before the switch was known', 20 * SECOND],
		['59 days ago', 59 * DAY],
		['in 9 minutes', -9 * MINUTE],
	])('end with a machine that is said to have ended %s, and hold its time before that', async (_, ago) => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await alive(5 * MINUTE, agent.client, [agent.id]);
		await agent.client.poll(agent.id);
		await orderSwitch(agent.client, agent.instanceId, agent.id);
		const next = await joinAgent(agent, 'b');
		const switched = world.now();
		await world.advance(MINUTE, 10 * SECOND);
		const said = world.now();
		const report = { agent_id: next.handle, instance_id: agent.instanceId, success: true, terminated_at: iso(switched - ago) };
		expect((await agent.client.call('terminationReport', report)).status).toBe(200);
		await alive(HOUR, agent.client, [next.handle]);
		await settle();
		const own = (await explained(agent.id)).segments.filter(({ instanceId }) => instanceId === agent.instanceId);
		const end = Date.parse(own.at(-1)?.end ?? '');
		expect(own.map(({ closedBy }) => closedBy)).not.toContain('open');
		expect(end).toBe(ago < 0 ? said : switched);
		expect(own.every(({ start }, index) => index === 0 || start === own[index - 1]?.end)).toBe(true);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('go on without a gap where a machine calls that was said to have ended', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await agent.client.poll(agent.id);
		await orderSwitch(agent.client, agent.instanceId, agent.id);
		const next = await joinAgent(agent, 'b');
		await alive(2 * MINUTE, agent.client, [next.handle]);
		expect((await agent.client.terminated(next.handle, agent.instanceId)).status).toBe(200);
		await alive(30 * MINUTE, agent.client, [next.handle]);
		await agent.client.heartbeat(agent.id);
		await settle();
		const own = (await explained(agent.id)).segments.filter(({ instanceId }) => instanceId === agent.instanceId);
		expect(own.at(-1)?.closedBy).toBe('open');
		expect(own.every(({ start }, index) => index === 0 || start === own[index - 1]?.end)).toBe(true);
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('charge a machine that lives on after a notice of its first hour, though it only calls', async () => {
		const { agent, replica } = await readyReplica(world);
		await costs(agent, agent.id, 'a', 0.041);
		await settle();
		expect((await imminent(world, agent, agent.id)).status).toBe(200);
		await alive(40 * MINUTE, agent.client, [agent.id, replica.handle]);
		await settle();
		const own = (await explained(agent.id)).segments.filter(({ instanceId }) => instanceId === agent.instanceId);
		expect(own.map(({ priceSource }) => priceSource)).not.toContain('aws-first-hour');
		expect(own.at(-1)).toMatchObject({ line: 'overlap', quality: 'estimated', price: 0.041, closedBy: 'open' });
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('call nothing free of a machine whose launch they did not see', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await alive(3 * HOUR, agent.client, [agent.id]);
		await settle();
		await world.store.transact(async (tx) => {
			for (const table of ['cost_segment', 'ledger_host', 'ledger_total', 'ledger_fact', 'ledger_state'] as const)
				await tx.deleteFrom(table).execute();
		});
		await settle();
		await costs(agent, agent.id, 'a', 0.04);
		await alive(10 * MINUTE, agent.client, [agent.id]);
		expect((await imminent(world, agent, agent.id)).status).toBe(200);
		await alive(5 * MINUTE, agent.client, []);
		const own = (await explained(agent.id)).segments.filter(({ instanceId }) => instanceId === agent.instanceId);
		expect(own.length).toBeGreaterThan(0);
		expect(own.map(({ priceSource }) => priceSource)).not.toContain('aws-first-hour');
	});

	it('hold the last price a machine said before its end, though they read it later', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await alive(5 * MINUTE, agent.client, [agent.id]);
		await agent.client.poll(agent.id);
		await settle();
		await costs(agent, agent.id, 'a', 0.09);
		const said = world.now();
		await world.advance(2 * SECOND, SECOND);
		await orderSwitch(agent.client, agent.instanceId, agent.id);
		const next = await joinAgent(agent, 'b');
		expect((await agent.client.terminated(next.handle, agent.instanceId)).status).toBe(200);
		await settle();
		const own = (await explained(agent.id)).segments.filter(({ instanceId }) => instanceId === agent.instanceId);
		expect(own.at(-1)).toMatchObject({ price: 0.09, priceSource: 'own', start: iso(said) });
		expect(own.at(-1)?.closedBy).not.toBe('open');
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('are the same when the daemon is killed in the middle, and with two daemons', async () => {
		const second = await world.addDaemon();
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await alive(4 * MINUTE, agent.client, [agent.id]);
		await world.restart(0, 'kill');
		await costs(agent, agent.id, 'a', 0.05);
		await alive(4 * MINUTE, agent.client, [agent.id]);
		await settle();
		expect(second.store).toBeDefined();
		const figures = await summary(agent.client);
		expect(figures.actual).toBeGreaterThan(0);
		const { segments } = await explained(agent.id);
		expect(micros(figures.actual)).toBe(segments.reduce((sum, { cost }) => sum + micros(cost), 0));
		expect((await recomputed(agent.client)).changed).toBe(0);
	});

	it('are explained in pages of the size that was asked for, what is open last, and each segment once', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.05);
		await agent.client.poll(agent.id);
		await orderSwitch(agent.client, agent.instanceId, agent.id, 'b');
		const next = await joinAgent(agent);
		await costs(agent, next.handle, 'b', 0.04);
		await alive(10 * MINUTE, agent.client, [next.handle]);
		await settle();
		const whole = (await explained(agent.id)).segments;
		expect(whole.filter(({ closedBy }) => closedBy === 'open')).toHaveLength(2);
		for (const limit of [1, 2, 3]) {
			const found: typeof whole = [];
			for (let cursor: string | undefined, pages = 0; pages < 20; pages++) {
				const { body }: Reply<'explainSavings'> = await world.admin.call('explainSavings', { agent_id: agent.id, limit, cursor });
				expect(body.segments.length).toBeLessThanOrEqual(limit);
				found.push(...body.segments);
				if (body.next_cursor === null) break;
				cursor = body.next_cursor;
			}
			expect(found).toEqual(whole);
		}
		const past = await world.admin.call('explainSavings', { agent_id: agent.id, month: '2019-01' });
		expect(past.body).toMatchObject({ segments: [], next_cursor: null, countsFrom: null });
	});

	describe('of somebody else', () => {
		it('are told to nobody, and bad months, cursors and bills are refused', async () => {
			const [one, other] = [await makeAgent(world), await world.client()];
			const status = async (name: 'showSavings' | 'clientSavings' | 'clientCharts') =>
				(await other.call(name, { client_id: one.client.id })).status;
			expect([await status('showSavings'), await status('clientSavings'), await status('clientCharts')]).toEqual([403, 403, 403]);
			expect((await other.call('explainSavings', { agent_id: one.id })).status).toBe(404);
			expect((await world.admin.call('showSavings', { client_id: 'nobody' })).status).toBe(404);
			for (const month of ['2026-13', '2026', 'x', '2026-1'])
				expect((await world.admin.call('showSavings', { client_id: one.client.id, month })).body.code).toBe('VALIDATION_ERROR');
			for (const cursor of ['x', Buffer.from('1:x').toString('base64url'), Buffer.from('abc').toString('base64url')])
				expect((await world.admin.call('explainSavings', { agent_id: one.id, cursor })).body.code).toBe('INVALID_CURSOR');
			const line = { instance_id: one.instanceId, start: 10, end: 10, cost: 1 };
			expect((await world.admin.call('reconcileSavings', { lines: [line] })).body.code).toBe('VALIDATION_ERROR');
			expect((await world.admin.call('reconcileSavings', { lines: Array.from({ length: 1001 }, () => line) })).body.code).toBe(
				'VALIDATION_ERROR',
			);
		});
	});
});
