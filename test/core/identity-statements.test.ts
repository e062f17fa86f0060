import { expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, joinAgent, makeAgent, newMachine, orderSwitch } from './agent-scene.ts';
import { imminent, readyReplica } from './replica-scene.ts';

/**
 * Whoever changes one of these changes what a switch costs on every machine: see `npm run bench`. What changes a role enters it into the books by
 * one of them, each notification is queued for the webhooks by another, and a switch is counted by a third; none waits for an answer.
 */
const EXPECTED = {
	registerNew: 12,
	/** One more writes the machine where it says something else than before, and when: here time stands still. */
	registerKnown: 7,
	force: 11,
	/** Of these one reads the host anew, since something about its agent has changed. */
	firstPollAfterForce: 4,
	emptyPollAfterClaim: 0,
	/** The look whether the report came before it, as it does, and the decision. */
	ack: 6,
	/** The command's own row says whose it is. */
	ackAfterReport: 2,
	registerOrdered: 24,
	report: 18,
	/** One more reads what the host said of its own price. */
	reportWithoutPrice: 19,
	/** Notices are decided in sets: the same for one and for sixty-four, but for what each writes. */
	notice: 24,
	repeatedNotice: 10,
};

describeEachDatabase('statements of a request', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);

	/** How many statements a piece of work takes, without those around a transaction. Time stands still, so nothing else runs. */
	const count = async (work: () => Promise<{ status: number }>): Promise<number> => {
		let status = 0;
		const statements = await world.statements(async () => {
			status = (await work()).status;
		});
		expect(status).toBe(200);
		return statements.length;
	};

	/** An agent whose token and handle the daemon has met. */
	const warm = async (): Promise<AgentScene> => {
		const agent = await makeAgent(world);
		await agent.client.config(agent.id);
		return agent;
	};

	it('routine calls of an agent ask the database nothing', async () => {
		const { client, id, instanceId } = await warm();
		expect(await count(() => client.heartbeat(id, { instance_id: instanceId, status: 'online' }))).toBe(0);
		expect(await count(() => client.poll(id))).toBe(0);
		expect(await count(() => client.config(id))).toBe(0);
		expect(await count(() => client.probe(id))).toBe(0);
	});

	it('polls for orders and machines to end cost one look at what other daemons changed, which all who ask meanwhile share', async () => {
		const { client, id } = await warm();
		const polls = [
			() => client.terminations(id),
			() => client.call('listHostReplicas', { agent_id: id, status: 'launching' }),
			() => client.call('listHostReplicas', { agent_id: id, status: 'terminated' }),
		];
		for (const poll of polls) expect(await count(poll)).toBe(1);
		const together = () => Promise.all(Array.from({ length: 50 }, () => client.terminations(id))).then(([first]) => first ?? { status: 0 });
		expect(await count(together)).toBeLessThanOrEqual(2);
	});

	it('those of a standby and a zombie neither, but for the heartbeat of a candidate, which looks at the primary', async () => {
		const agent = await warm();
		await orderSwitch(agent.client, agent.instanceId, agent.id);
		await joinAgent(agent, 'b');
		const candidate = await joinAgent(agent, 'c');
		for (const handle of [agent.id, candidate.handle]) {
			await agent.client.config(handle);
			expect(await count(() => agent.client.poll(handle))).toBe(0);
			expect(await count(() => agent.client.config(handle))).toBe(0);
		}
		expect(await count(() => agent.client.heartbeat(agent.id))).toBe(0);
		expect(await count(() => agent.client.heartbeat(candidate.handle))).toBe(5);
	});

	it('the terminate list costs one more while something may end', async () => {
		const agent = await warm();
		await orderSwitch(agent.client, agent.instanceId, agent.id);
		const next = await joinAgent(agent, 'b');
		await agent.client.config(next.handle);
		expect(await count(() => agent.client.terminations(next.handle))).toBe(2);
	});

	it('those that change something take a fixed number', async () => {
		const { client, id, instanceId, logicalId } = await warm();
		let command = '';
		const counts = {
			registerNew: await count(() => client.register(newMachine(), { logical_agent_id: `new-${instanceId}` })),
			registerKnown: await count(() => client.register(instanceId, { logical_agent_id: logicalId })),
			force: await count(async () => {
				const reply = await client.force(instanceId, 'b');
				command = String(reply.body.command_id);
				return reply;
			}),
			firstPollAfterForce: await count(() => client.poll(id)),
			emptyPollAfterClaim: await count(() => client.poll(id)),
			ack: await count(() => client.ack(id, command)),
			registerOrdered: await count(() => client.register(newMachine(), { logical_agent_id: logicalId, az: 'us-east-1b' })),
		};
		const other = await warm();
		await orderSwitch(other.client, other.instanceId, other.id);
		const claimed = await other.client.call('listCommands', { agent_id: other.id });
		const prices = { on_demand: 0.085, old_spot: 0.04, new_spot: 0.03 };
		const report = await count(() => other.client.report(other.id, newMachine(), { prices }));
		const ackAfterReport = await count(() =>
			other.client.ack(other.id, String((claimed.body.data as unknown as ReadonlyArray<{ id: string }>)[0]?.id)),
		);
		const third = await warm();
		await orderSwitch(third.client, third.instanceId, third.id);
		const reportWithoutPrice = await count(() => third.client.report(third.id, newMachine()));
		const { agent } = await readyReplica(world);
		await agent.client.config(agent.id);
		const notice = await count(() => imminent(world, agent, agent.id));
		const repeatedNotice = await count(() => imminent(world, agent, agent.id));
		expect({ ...counts, report, reportWithoutPrice, ackAfterReport, notice, repeatedNotice }).toEqual(EXPECTED);
	});

	it('a pricing report takes the same for one pool as for a hundred', async () => {
		const { client, id } = await warm();
		const prices = (pools: number): Record<string, number> =>
			Object.fromEntries(Array.from({ length: pools }, (_, n) => [`us-east-1-x${n}-1a`, 0.01 + n / 1000]));
		await client.prices(id, prices(128));
		const [one, many] = [await count(() => client.prices(id, prices(1))), await count(() => client.prices(id, prices(100)))];
		expect({ one, many }).toEqual({ one: 3, many: 3 });
		await world.advance(5 * 60_000);
		await client.config(id);
		const [oneAnew, manyAnew] = [await count(() => client.prices(id, prices(1))), await count(() => client.prices(id, prices(100)))];
		expect({ oneAnew, manyAnew }).toEqual({ oneAnew: 5, manyAnew: 5 });
	});
});
