import { afterAll, beforeAll, expect, it } from 'vitest';
import { startDaemon, stopDaemons, type TestDaemon } from '../helpers/daemon.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { openRows, type Rows } from '../helpers/rows.ts';

/** The bodies of ../shared/contract/clients.md, as the three agents send them. */
const HEADERS = { 'content-type': 'application/json', accept: '*/*' };

describeEachDatabase("the field's agents, with exactly the bodies they send,", ({ freshUrl }) => {
	let test: TestDaemon;
	let rows: Rows;
	let token = '';
	let clientId = '';

	beforeAll(async () => {
		const url = await freshUrl();
		test = await startDaemon(url);
		rows = await openRows(url);
		const { client } = await test.api.createClient({ name: 'acme' });
		[token, clientId] = [client.token, client.id];
	});
	afterAll(async () => {
		await rows.close();
		await stopDaemons();
	});

	/** As Python's requests does it: a content type on every call, a body only where there is one. */
	const agentOf = (headers: Record<string, string>) => {
		const call = async (method: string, path: string, body?: object) => {
			const answer = await test.send({
				method,
				path: `/api/agents/${path}`,
				headers: { ...HEADERS, ...headers },
				...(body ? { body } : {}),
			});
			expect(answer.status, `${method} ${path}: ${answer.text}`).toBe(200);
			return answer.body;
		};
		return { get: (path: string) => call('GET', path), post: (path: string, body: object) => call('POST', path, body) };
	};

	it('let the classic agent 4.0.0 through, from its first call to its last', async () => {
		const agent = agentOf({ authorization: `Bearer ${token}` });
		const registered = await agent.post('register', {
			client_token: token,
			hostname: 'ip-10-0-0-1',
			instance_id: 'i-0c1a551c000000001',
			instance_type: 't3.medium',
			region: 'us-east-1',
			az: 'us-east-1a',
			ami_id: 'ami-0123456789abcdef0',
			agent_version: '4.0.0',
			logical_agent_id: 'classic-1',
			mode: 'spot',
			private_ip: '10.0.0.1',
			public_ip: null,
		});
		const id = String(registered['agent_id']);
		expect(registered).toMatchObject({ client_id: clientId, config: { enabled: true, terminate_wait_seconds: 300 } });
		const alive = { status: 'online', monitored_instances: ['i-0c1a551c000000001'] };
		await agent.post(`${id}/heartbeat`, {
			...alive,
			instance_id: 'i-0c1a551c000000001',
			instance_type: 't3.medium',
			mode: 'spot',
			az: 'us-east-1a',
		});
		await agent.post(`${id}/heartbeat`, { ...alive, instance_id: null, instance_type: null, mode: null, az: null });
		expect(await agent.get(`${id}/config`)).toMatchObject({ enabled: true });
		expect((await agent.get(`${id}/replicas?status=launching`))['replicas']).toEqual([]);
		expect((await agent.get(`${id}/replicas?status=terminated`))['replicas']).toEqual([]);
		await agent.post(`${id}/pricing-report`, {
			instance: {
				instance_id: 'i-0c1a551c000000001',
				instance_type: 't3.medium',
				region: 'us-east-1',
				az: 'us-east-1a',
				mode: 'spot',
				pool_id: 't3.medium.us-east-1a',
			},
			pricing: {
				on_demand_price: 0.0416,
				current_spot_price: 0.0125,
				cheapest_pool: { pool_id: 't3.medium.us-east-1b', price: 0.0121 },
				spot_pools: [
					{ pool_id: 't3.medium.us-east-1a', instance_type: 't3.medium', az: 'us-east-1a', price: 0.0125 },
					{ pool_id: 't3.medium.us-east-1b', instance_type: 't3.medium', az: 'us-east-1b', price: 0.0121 },
				],
				collected_at: new Date().toISOString().replace('Z', '123+00:00'),
			},
		});
		await test.api.forceSwitch({
			instance_id: 'i-0c1a551c000000001',
			target: 'pool',
			pool_id: 't3.medium.us-east-1b',
			auto_terminate: false,
		});
		const commands = (await agent.get(`${id}/pending-commands`))['commands'] as Record<string, unknown>[];
		expect(commands).toHaveLength(1);
		const [command = {}] = commands;
		expect(command).toMatchObject({
			command_type: 'switch',
			target_mode: 'spot',
			target_pool_id: 't3.medium.us-east-1b',
			priority: 75,
			terminate_wait_seconds: 0,
		});
		const now = new Date().toISOString().replace('Z', '000+00:00');
		const report = await agent.post(`${id}/switch-report`, {
			old_instance: {
				instance_id: 'i-0c1a551c000000001',
				instance_type: 't3.medium',
				region: 'us-east-1',
				az: 'us-east-1a',
				ami_id: 'ami-0123456789abcdef0',
				mode: 'spot',
				pool_id: 't3.medium.us-east-1a',
			},
			new_instance: {
				instance_id: 'i-0c1a551c000000002',
				instance_type: 't3.medium',
				region: 'us-east-1',
				az: 'us-east-1b',
				ami_id: 'ami-0123456789abcdef0',
				mode: 'spot',
				pool_id: 't3.medium.us-east-1b',
			},
			snapshot: { used: false, ami_id: null, ami_name: null, snapshot_id: null },
			prices: { on_demand: 0.0416, old_spot: 0.0125, new_spot: 0.0121 },
			timing: { switch_initiated_at: now, new_instance_launched_at: now, new_instance_ready_at: now, traffic_switched_at: now },
			trigger: 'manual',
		});
		expect(report).toMatchObject({ success: true, action: 'switched', savings_impact: 0.0004 });
		const [made] = (await rows.of('switch_record')).filter((row) => row['new_instance_id'] === 'i-0c1a551c000000002');
		expect(made).toMatchObject({
			trigger_type: 'manual',
			old_spot_micros: 12_500,
			new_spot_micros: 12_100,
			impact_micros: 400,
			launched_at: Date.parse(now),
		});
		expect(await agent.post(`${id}/commands/${command['id']}/executed`, { success: true, message: 'Switch completed' })).toMatchObject({
			success: true,
		});
		// The old host goes on as a zombie under its handle, with its command behind it.
		expect((await agent.get(`${id}/pending-commands`))['commands']).toEqual([]);
		expect(await agent.get(`${id}/instances-to-terminate`)).toMatchObject({
			instances: [],
			auto_terminate_enabled: true,
			terminate_wait_seconds: 300,
		});
		await agent.post(`${id}/termination-report`, { instance_id: 'i-0c1a551c000000001', success: true, error: null, terminated_at: now });
		await agent.post(`${id}/cleanup-report`, {
			timestamp: now,
			snapshots: { type: 'snapshots', deleted: ['snap-1', 'snap-2'], failed: [{ id: 'snap-3', error: 'InUse' }], cutoff_date: now },
			amis: { type: 'amis', deleted_amis: ['ami-1'], deleted_snapshots: [], failed: [], cutoff_date: now },
		});
		await agent.post(`${id}/heartbeat`, { status: 'offline', monitored_instances: [] });
		expect((await test.api.showAgent({ agent_id: id })).instanceId).toBe('i-0c1a551c000000002');
	});

	it('let agent 3.2.0 through, which says its mode in a pricing report first and marks what it did', async () => {
		const agent = agentOf({ authorization: `Bearer ${token}` });
		const registered = await agent.post('register', {
			client_token: token,
			hostname: 'ip-10-0-0-2',
			instance_id: 'i-0320000000000001',
			instance_type: 'c5.large',
			region: 'us-east-1',
			az: 'us-east-1c',
			ami_id: 'ami-0123456789abcdef0',
			agent_version: '3.2.0',
			logical_agent_id: 'v32-1',
		});
		const id = String(registered['agent_id']);
		expect(registered['config']).toMatchObject({ enabled: true, auto_switch_enabled: true, auto_terminate_enabled: true });
		await agent.post(`${id}/heartbeat`, { status: 'online', monitored_instances: ['i-0320000000000001'] });
		await agent.post(`${id}/pricing-report`, {
			instance: {
				instance_id: 'i-0320000000000001',
				instance_type: 'c5.large',
				region: 'us-east-1',
				az: 'us-east-1c',
				current_mode: 'ondemand',
				current_pool_id: null,
			},
			on_demand_price: { price: 0.085 },
			spot_pools: [{ pool_id: 'c5.large.us-east-1c', instance_type: 'c5.large', az: 'us-east-1c', price: 0.034 }],
		});
		expect(await test.api.showInstance({ instance_id: 'i-0320000000000001' })).toMatchObject({
			currentMode: 'ondemand',
			ondemandPrice: 0.085,
		});
		await test.api.forceSwitch({ instance_id: 'i-0320000000000001', target: 'pool', pool_id: 'c5.large.us-east-1c' });
		const [command = {}] = (await agent.get(`${id}/pending-commands`))['commands'] as Record<string, unknown>[];
		const now = new Date().toISOString().replace('Z', '');
		await agent.post(`${id}/switch-report`, {
			old_instance: {
				instance_id: 'i-0320000000000001',
				instance_type: 'c5.large',
				region: 'us-east-1',
				az: 'us-east-1c',
				ami_id: null,
				mode: 'ondemand',
				pool_id: null,
			},
			new_instance: {
				instance_id: 'i-0320000000000002',
				instance_type: 'c5.large',
				region: 'us-east-1',
				az: 'us-east-1c',
				ami_id: null,
				mode: 'spot',
				pool_id: 'c5.large.us-east-1c',
			},
			snapshot: { used: true, ami_id: 'ami-9', snapshot_id: 'snap-9' },
			prices: { on_demand: 0.085, old_spot: null, new_spot: 0.034 },
			timing: { switch_initiated_at: now, new_instance_ready_at: now, traffic_switched_at: null, old_instance_terminated_at: now },
			trigger: 'manual',
		});
		expect(await agent.post(`${id}/mark-command-executed`, { command_id: command['id'] })).toMatchObject({
			success: true,
			command_status: 'completed',
		});
		const [made] = (await rows.of('switch_record')).filter((row) => row['new_instance_id'] === 'i-0320000000000002');
		expect(made).toMatchObject({ old_mode: 'ondemand', new_mode: 'spot', impact_micros: 51_000, snapshot_id: 'snap-9' });
		expect((await test.api.showInstance({ instance_id: 'i-0320000000000001' })).role).toBe('terminated');
		await agent.post(`${id}/heartbeat`, { status: 'offline', monitored_instances: [] });
	});

	it('let the agent "v4" through, whose stale X-Request-ID changes nothing on any call', async () => {
		const agent = agentOf({ authorization: `Bearer ${token}`, 'x-request-id': '0b1c9a4e-stale' });
		const register = {
			hostname: 'ip-10-0-0-3',
			instance_id: 'i-0400000000000001',
			instance_type: 'm5.large',
			region: 'us-east-1',
			az: 'us-east-1d',
			ami_id: 'ami-0123456789abcdef0',
			agent_version: '4.0.0',
			logical_agent_id: 'v4-1',
			mode: 'spot',
			private_ip: '10.0.0.3',
			public_ip: null,
		};
		const registered = await agent.post('register', register);
		const id = String(registered['agent_id']);
		expect(registered['config']).toMatchObject({ enabled: true, auto_switch_enabled: true });
		expect((await agent.post('register', register))['agent_id']).toBe(id);
		expect((await agent.post('register', { ...register, instance_id: 'i-0400000000000002' }))['agent_id']).not.toBe(id);
		const prices = async () =>
			(await rows.of('price_report'))
				.filter((row) => row['handle'] === id)
				.flatMap((row) => Object.values(JSON.parse(String(row['points'])) as object)).length;
		for (let turn = 1; turn <= 3; turn++) {
			await agent.post(`${id}/heartbeat`, { status: 'online' });
			expect(await agent.get(`${id}/config`)).toMatchObject({ enabled: true });
			const decided = await agent.post(`${id}/decide`, {
				spot_pools: [
					{ pool_id: 'm5.large.us-east-1d', instance_type: 'm5.large', az: 'us-east-1d', price: 0.03 + turn / 1000, is_current: true },
					{ pool_id: 'm5.large.us-east-1e', instance_type: 'm5.large', az: 'us-east-1e', price: 0.05, is_current: false },
				],
				ondemand_price: 0.096,
				current_az: 'us-east-1d',
			});
			expect(decided).toMatchObject({ action: 'NO_ACTION', confidence: 0, recommended_action: 'stay', allowed: false, prices_stored: 2 });
			expect([typeof decided['reasoning'], await prices()]).toEqual(['string', 2 * turn]);
		}
		expect(await test.api.showAgent({ agent_id: id })).toMatchObject({ spotPrice: 0.033, ondemandPrice: 0.096 });
		// Its own look at the prices failed.
		expect(await agent.post(`${id}/decide`, { spot_pools: [], ondemand_price: null, current_az: 'us-east-1d' })).toMatchObject({
			prices_stored: 0,
		});
		expect(await agent.post(`${id}/decide`, {})).toMatchObject({ action: 'NO_ACTION', confidence: 0 });
		await agent.post(`${id}/heartbeat`, { status: 'offline' });
		expect((await test.api.showAgent({ agent_id: id })).status).toBe('offline');
		await agent.post(`${id}/heartbeat`, { status: 'online' });
		expect((await test.api.showAgent({ agent_id: id })).status).toBe('online');
	});

	it('let a curl of the documents and the uninstaller through', async () => {
		const agent = agentOf({ authorization: token });
		const registered = await agent.post('register', {
			client_token: token,
			logical_agent_id: 'curl-1',
			instance_id: 'i-0c00000000000001',
			instance_type: 'unknown',
			region: 'us-east-1',
			az: 'unknown',
			mode: 'unknown',
			public_ip: '',
			private_ip: '',
		});
		expect(registered['role']).toBe('primary');
		expect(await agent.post('uninstall', { instance_id: 'i-0c00000000000001', reason: 'manual_uninstall' })).toMatchObject({
			success: true,
		});
		expect((await test.api.showAgent({ agent_id: String(registered['agent_id']) })).status).toBe('offline');
		for (const instance_id of ['unknown', 'i-nobody', null])
			expect(await agent.post('uninstall', { instance_id })).toMatchObject({ success: true });
	});
});
