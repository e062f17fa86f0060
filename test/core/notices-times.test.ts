import { expect, it } from 'vitest';
import { type Input, iso } from '../../src/contract/index.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import type { AgentScene } from './agent-scene.ts';
import { emergenciesOf, imminent, pollingAgent, readyReplica, replicasOf } from './replica-scene.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

type Time = Input<'terminationImminent'>['termination_time'];

/** How the agents of the field, and broken clocks, write a moment; null where nothing can be read from it. */
const FORMS: [string, (at: number) => Time, 'read' | 'unreadable'][] = [
	['with Z', (at) => iso(at), 'read'],
	['with +00:00', (at) => iso(at).replace('Z', '+00:00'), 'read'],
	['with another offset', (at) => iso(at + 330 * MINUTE).replace('Z', '+05:30'), 'read'],
	['with microseconds', (at) => iso(at).replace('Z', '456+00:00'), 'read'],
	['without a zone', (at) => iso(at).replace('Z', ''), 'read'],
	['of 1970', () => '1970-01-01T00:00:00Z', 'unreadable'],
	['of 2999', () => '2999-12-31T23:59:59Z', 'unreadable'],
	['that is no time', () => 'soon', 'unreadable'],
	['that is empty', () => '', 'unreadable'],
	['that is missing', () => undefined, 'unreadable'],
];

/** Every way to say that AWS takes the machine back. */
const TERMINATIONS = {
	'#54': ({ client, id }: AgentScene, at: Time) =>
		client.call('createEmergencyReplica', { agent_id: id, signal_type: 'termination-notice', termination_time: at }),
	'#55': ({ client, id }: AgentScene, at: Time) => client.call('terminationImminent', { agent_id: id, termination_time: at }),
	'#53 immediate': ({ client, id }: AgentScene, at: Time) =>
		client.call('rebalanceRecommendation', { agent_id: id, notice_time: at, immediate: true }),
	X16: ({ client, id }: AgentScene, at: Time) => client.call('terminationNotice', { agent_id: id, termination_time: at }),
};

describeEachDatabase('a time in a notice', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);

	it.each(FORMS)('%s stops no failover, and is the deadline where it can be one (D-10)', async (_, form, kind) => {
		for (const [route, send] of Object.entries(TERMINATIONS)) {
			const agent = await pollingAgent(world);
			const at = world.now() + 2 * MINUTE;
			expect([route, (await send(agent, form(at))).status]).toEqual([route, route === '#54' ? 201 : 200]);
			expect(await emergenciesOf(world, agent.id)).toMatchObject([
				{ kind: 'termination', deadline_at: kind === 'read' ? at : null, signal_at: world.now(), open_of: agent.id },
			]);
			expect(await replicasOf(world, agent.id)).toMatchObject([{ status: 'launching', type: 'automatic-termination' }]);
		}
	});

	it.each([
		['three seconds ago', (now: number) => iso(now - 3000), 3000],
		['three seconds ago, with an offset and microseconds', (now: number) => iso(now - 3000 - HOUR).replace('Z', '999-01:00'), 3000],
		['in a minute', (now: number) => iso(now + MINUTE), 0],
		['in 1970', () => '1970-01-01T00:00:00Z', 0],
	])('of a signal seen %s counts as far as it can be true', async (_, seen, before) => {
		const agent = await pollingAgent(world);
		await imminent(world, agent, agent.id, { detected_at: seen(world.now()) });
		expect(await emergenciesOf(world, agent.id)).toMatchObject([{ signal_at: world.now() - before, received_at: world.now() }]);
	});

	it('of a rebalance notice of v6 is two minutes before its deadline', async () => {
		const agent = await pollingAgent(world);
		await agent.client.call('rebalanceNotice', { agent_id: agent.id, notice_time: iso(world.now() - 5000) });
		expect(await emergenciesOf(world, agent.id)).toMatchObject([{ kind: 'rebalance', deadline_at: world.now() + 115_000 }]);
	});

	it.each(['ordered', 'ready'])('that only the second call of classic says is when the signal was seen (replica %s)', async (replica) => {
		const agent = replica === 'ready' ? (await readyReplica(world)).agent : await pollingAgent(world);
		const seen = world.now();
		await world.advance(1500, 500);
		const termination_time = iso(seen + 2 * MINUTE);
		await agent.client.call('createEmergencyReplica', { agent_id: agent.id, signal_type: 'termination-notice', termination_time });
		await agent.client.call('terminationImminent', { agent_id: agent.id, termination_time, detected_at: iso(seen) });
		expect(await emergenciesOf(world, agent.id)).toMatchObject([{ signal_at: seen, received_at: seen + 1500 }]);
	});

	it('that is another deadline an hour later is another notice, with two minutes of its own', async () => {
		const agent = await pollingAgent(world);
		const first = world.now() + 2 * MINUTE;
		await TERMINATIONS['#55'](agent, iso(first));
		await world.advance(3 * MINUTE, 5000);
		expect(await emergenciesOf(world, agent.id)).toMatchObject([{ outcome: 'told', deadline_at: first }]);
		for (let minute = 0; minute < 60; minute++) {
			await agent.client.heartbeat(agent.id);
			await world.advance(MINUTE, MINUTE);
		}
		const second = world.now() + 2 * MINUTE;
		await TERMINATIONS['#55'](agent, iso(second));
		expect(await emergenciesOf(world, agent.id)).toMatchObject([{ deadline_at: first }, { deadline_at: second, open_of: agent.id }]);
		expect((await replicasOf(world, agent.id)).map(({ status }) => status)).toEqual(['failed', 'launching']);
	});

	it('that is another, and the first again, is taken although all three come in the same millisecond', async () => {
		const agent = await pollingAgent(world);
		const [first, second] = [world.now() + 2 * MINUTE, world.now() + 4 * MINUTE];
		const answers = [];
		for (const at of [first, second, first]) answers.push((await TERMINATIONS['#55'](agent, iso(at))).status);
		expect(answers).toEqual([200, 200, 200]);
		expect(await emergenciesOf(world, agent.id)).toMatchObject([
			{ deadline_at: first, outcome: 'escalated' },
			{ deadline_at: second, outcome: 'escalated' },
			{ deadline_at: first, open_of: agent.id },
		]);
	});
});
