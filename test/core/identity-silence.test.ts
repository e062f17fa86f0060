import { beforeAll, describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { heartbeatsFor, joinAgent, makeAgent, rolesOf, rowsOf, TIMEOUT } from './agent-scene.ts';

describeEachDatabase('silence (D-46)', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);
	const rows = rowsOf(world);

	const status = async (id: string): Promise<string> => (await rows.agent(id)).status;

	it('makes an agent offline at most five seconds after the timeout, and not before', async () => {
		const agent = await makeAgent(world);
		await world.advance(TIMEOUT + 30_000, 4000);
		await agent.client.heartbeat(agent.id);
		await world.advance(TIMEOUT - 1000, 4000);
		expect(await status(agent.id)).toBe('online');
		await world.advance(6000);
		expect(await status(agent.id)).toBe('offline');
	});

	it.each(['online', 'disabled'])(
		'is told once for each time an agent that is %s goes, by one event and one notification',
		async (state) => {
			const agent = await makeAgent(world);
			if (state === 'disabled') await agent.client.toggle(agent.id, false);
			for (let n = 1; n <= 2; n++) {
				await world.advance(TIMEOUT * 3, 4000);
				expect(await status(agent.id)).toBe('offline');
				const events = await rows.events(agent.id);
				expect(events.filter((type) => type === 'agent_marked_offline')).toHaveLength(n);
				await agent.client.heartbeat(agent.id);
				expect(await status(agent.id)).toBe(state);
				expect((await rows.events(agent.id)).filter((type) => type === 'agent_back_online')).toHaveLength(n);
				// Past ten minutes a repeat is a notification of its own.
				await heartbeatsFor(world, 600_000, agent.client, [agent.id]);
			}
			const notifications = (await rows.notifications(agent.id)).map(({ type, count }) => [type, count]);
			expect(notifications.filter(([type]) => type === 'agent_offline')).toEqual([
				['agent_offline', 1],
				['agent_offline', 1],
			]);
			expect(notifications.filter(([type]) => type === 'agent_back_online')).toHaveLength(2);
		},
	);

	it('counts no heartbeat that comes between the look and the verdict', async () => {
		const agent = await makeAgent(world);
		for (let n = 0; n < 4; n++) {
			await world.advance(TIMEOUT - 500, 4000);
			await agent.client.heartbeat(agent.id);
		}
		expect(await status(agent.id)).toBe('online');
		expect(await rows.events(agent.id)).toEqual(['agent_registered']);
	});

	it('is no silence when the agent said that it goes: told once, at once', async () => {
		const agent = await makeAgent(world);
		await agent.client.heartbeat(agent.id, { status: 'offline' });
		expect(await status(agent.id)).toBe('offline');
		await agent.client.heartbeat(agent.id, { status: 'offline' });
		await world.advance(TIMEOUT * 2, 4000);
		expect((await rows.events(agent.id)).filter((type) => type === 'agent_marked_offline')).toHaveLength(1);
	});

	it('any call of the primary keeps the agent online, not only its heartbeat', async () => {
		const agent = await makeAgent(world);
		for (let n = 0; n < 4; n++) {
			await world.advance(TIMEOUT / 2, 4000);
			await agent.client.poll(agent.id);
		}
		expect(await status(agent.id)).toBe('online');
	});

	it('is not judged for one full timeout after nobody served', async () => {
		const agent = await makeAgent(world);
		const standby = await joinAgent(agent);
		await world.advance(30_000);
		await world.stop(0, 'kill');
		await world.advance(3_600_000, 3_600_000);
		await world.restart(0, 'kill');
		await world.advance(TIMEOUT - 2000, 4000);
		expect(await status(agent.id)).toBe('online');
		await agent.client.heartbeat(standby.handle);
		expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [standby.instanceId]: 'candidate' });
		await world.advance(7000);
		expect(await rows.events(agent.id)).toContain('agent_marked_offline');
		expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [standby.instanceId]: 'primary' });
	});

	it('a machine that registers right after the start takes nothing over', async () => {
		const agent = await makeAgent(world);
		await world.stop();
		await world.advance(3_600_000, 3_600_000);
		await world.restart();
		expect((await joinAgent(agent)).role).toBe('candidate');
	});

	it('a restart that takes a moment does not begin the wait anew', async () => {
		const agent = await makeAgent(world);
		await world.advance(TIMEOUT - 10_000, 4000);
		await world.restart(0, 'kill');
		await world.advance(16_000);
		expect(await status(agent.id)).toBe('offline');
	});

	it('a restart loses no heartbeat when it is in order', async () => {
		const agent = await makeAgent(world);
		await world.advance(100_000, 4000);
		await agent.client.heartbeat(agent.id);
		await world.restart();
		await world.advance(100_000, 4000);
		expect(await status(agent.id)).toBe('online');
	});

	describe('of a standby or a zombie', () => {
		it('tells nothing about the agent', async () => {
			const agent = await makeAgent(world);
			await joinAgent(agent);
			await heartbeatsFor(world, TIMEOUT * 2, agent.client, [agent.id]);
			expect(await status(agent.id)).toBe('online');
			expect((await rows.events(agent.id)).filter((type) => type.includes('offline'))).toEqual([]);
		});
	});

	it('of a deleted agent is not watched', async () => {
		const agent = await makeAgent(world);
		await agent.client.remove(agent.id);
		await world.advance(TIMEOUT * 2, 4000);
		expect(await status(agent.id)).toBe('deleted');
		expect(await rows.events(agent.id)).not.toContain('agent_marked_offline');
	});

	describe('with two daemons', () => {
		beforeAll(() => world.addDaemon());

		it('is not judged while another daemon hears the agent', async () => {
			const agent = await makeAgent(world);
			const standby = await joinAgent(agent);
			world.use(1);
			for (let n = 0; n < 8; n++) {
				await world.advance(30_000, 4000);
				await agent.client.heartbeat(agent.id);
				world.use(0);
				await agent.client.heartbeat(standby.handle);
				world.use(1);
			}
			world.use(0);
			expect(await status(agent.id)).toBe('online');
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [standby.instanceId]: 'candidate' });
			expect((await rows.events(agent.id)).filter((type) => type === 'agent_marked_offline')).toEqual([]);
		});

		it('is judged once by two daemons', async () => {
			const agent = await makeAgent(world);
			await world.advance(TIMEOUT * 2, 4000);
			expect((await rows.events(agent.id)).filter((type) => type === 'agent_marked_offline')).toHaveLength(1);
			expect((await rows.notifications(agent.id)).filter(({ type }) => type === 'agent_offline')).toMatchObject([{ count: 1 }]);
		});
	});
});
