import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { startDaemon, stopDaemons, type TestDaemon } from '../helpers/daemon.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { openRows, type Rows } from '../helpers/rows.ts';
import { type CoreOperation, coreOperations, INPUTS, makeScene, requestOf, type Scene } from '../helpers/scene.ts';

const keyOf = (text: string): string => createHash('sha256').update(text).digest('base64');
const KEY = keyOf('one');
const VALIDATE = '/api/client/validate';

describeEachDatabase('client tokens', ({ freshUrl }) => {
	afterEach(stopDaemons);

	const statuses = async (test: TestDaemon, tokens: readonly string[]): Promise<number[]> =>
		Promise.all(tokens.map(async (token) => (await test.send({ path: VALIDATE, token })).status));

	it('overlap on rotation for as long as was asked, and say when they end', async () => {
		const test = await startDaemon(await freshUrl());
		const { client } = await test.api.createClient({ name: 'acme' });
		const short = await test.api.createToken({ client_id: client.id, name: 'short', expires_in_seconds: 1 });
		const rotated = await test.api.rotateToken({ client_id: client.id, overlap_seconds: 2 });
		const since = performance.now();
		expect(rotated.old_tokens).toBe(2);
		const tokens = [client.token, short.token, rotated.token];
		expect(await statuses(test, tokens)).toEqual([200, 200, 200]);
		const { items } = await test.api.listTokens({ client_id: client.id });
		expect(items.map(({ name, state, expires_at }) => [name, state, expires_at])).toEqual(
			expect.arrayContaining([
				['rotated', 'active', null],
				['short', 'active', short.expires_at],
				['first', 'active', rotated.old_tokens_end_at],
			]),
		);
		await delay(1100 - (performance.now() - since));
		expect(await statuses(test, tokens)).toEqual([200, 401, 200]);
		await delay(2050 - (performance.now() - since));
		expect(await statuses(test, tokens)).toEqual([401, 401, 200]);
		expect((await test.api.listTokens({ client_id: client.id })).items.map(({ state }) => state).sort()).toEqual([
			'active',
			'expired',
			'expired',
		]);
	});

	it('end at once when one is regenerated, or rotated without overlap', async () => {
		const test = await startDaemon(await freshUrl());
		const { client } = await test.api.createClient({ name: 'acme' });
		const more = await test.api.createToken({ client_id: client.id });
		expect(await statuses(test, [client.token, more.token])).toEqual([200, 200]);
		const regenerated = await test.api.regenerateToken({ client_id: client.id });
		expect(await statuses(test, [client.token, more.token, regenerated.token])).toEqual([401, 401, 200]);
		const rotated = await test.api.rotateToken({ client_id: client.id, overlap_seconds: 0 });
		expect(await statuses(test, [regenerated.token, rotated.token])).toEqual([401, 200]);
	});

	it('know when they were used last', async () => {
		const url = await freshUrl();
		const test = await startDaemon(url);
		const { client } = await test.api.createClient({ name: 'acme' });
		const before = Date.now();
		expect(await statuses(test, [client.token])).toEqual([200]);
		await test.stop();
		const again = await startDaemon(url);
		const used = (await again.apiAs(test.admin).listTokens({ client_id: client.id })).items[0]?.last_used_at ?? '';
		expect(Date.parse(used)).toBeGreaterThanOrEqual(before);
	});

	it('are shown again only with the key they were sealed with, and every look is audited', async () => {
		const url = await freshUrl();
		const plain = await startDaemon(url);
		const { client } = await plain.api.createClient({ name: 'acme' });
		const hidden = await plain.send({ path: `/api/admin/clients/${client.id}/token`, token: plain.admin });
		expect([hidden.status, hidden.body['code']]).toEqual([410, 'TOKEN_NOT_RECOVERABLE']);
		expect(hidden.body['hint']).toContain('spotctl tokens rotate acme');
		const admin = plain.admin;
		await plain.stop();

		const keyed = await startDaemon(url, { flags: { 'security.tokenRevealKey': KEY } });
		const api = keyed.apiAs(admin);
		await expect(api.revealToken({ client_id: client.id })).rejects.toMatchObject({ code: 'TOKEN_NOT_RECOVERABLE' });
		const made = await api.createToken({ client_id: client.id });
		expect(await api.revealToken({ client_id: client.id })).toEqual({ token: made.token, client_name: 'acme' });
		const rows = await openRows(url);
		expect(await rows.everything()).not.toContain(made.token.slice(12, 40));
		expect((await rows.of('audit')).filter((row) => row['action'] === 'tokens.reveal')).toHaveLength(1);
		await rows.close();
		await keyed.stop();

		const other = await startDaemon(url, { flags: { 'security.tokenRevealKey': keyOf('another') } });
		await expect(other.apiAs(admin).revealToken({ client_id: client.id })).rejects.toMatchObject({ code: 'TOKEN_NOT_RECOVERABLE' });
	});
});

/** What each change leaves in the audit; `operation` of the contract, by the admin. */
type Audited = {
	readonly action: string;
	readonly before: boolean;
	readonly after: boolean;
	readonly prepare?: (test: TestDaemon, scene: Scene) => Promise<unknown>;
	readonly input?: (scene: Scene) => object;
};

const created = (action: string, more: Partial<Audited> = {}): Audited => ({ action, before: false, after: true, ...more });
const changed = (action: string, more: Partial<Audited> = {}): Audited => ({ action, before: true, after: true, ...more });

const AUDITED: Partial<Record<CoreOperation['name'], Audited>> = {
	createClient: created('clients.create'),
	updateClient: changed('clients.update'),
	deleteClient: { action: 'clients.delete', before: true, after: false },
	createToken: created('tokens.create'),
	rotateToken: changed('tokens.rotate'),
	revokeToken: changed('tokens.revoke'),
	regenerateToken: changed('tokens.regenerate'),
	revealToken: created('tokens.reveal'),
	createAdminToken: created('admin_tokens.create'),
	revokeAdminToken: changed('admin_tokens.revoke'),
	toggleAgent: changed('agents.configure'),
	changeSettings: changed('agents.configure'),
	changeConfig: changed('agents.configure'),
	deleteAgent: changed('agents.delete'),
	restoreAgent: changed('agents.restore', { prepare: ({ api }, { agentId }) => api.deleteAgent({ agent_id: agentId }) }),
	holdInstance: changed('instances.hold'),
	promoteInstance: changed('instances.promote', {
		prepare: (test, { token, handle }) => test.apiAs(token).heartbeat({ agent_id: handle, status: 'offline' }),
	}),
	forceSwitch: changed('instances.switch', {
		prepare: ({ api }, { commandId }) => api.cancelCommand({ command_id: commandId }),
		input: ({ instanceId }) => ({ instance_id: instanceId, target: 'ondemand' }),
	}),
	cancelCommand: changed('commands.cancel'),
	issueSwitchCommand: changed('instances.switch', {
		prepare: ({ api }, { commandId }) => api.cancelCommand({ command_id: commandId }),
	}),
	agentSwitch: changed('instances.switch', { prepare: ({ api }, { commandId }) => api.cancelCommand({ command_id: commandId }) }),
	flipAgent: changed('agents.configure'),
	putSettings: changed('agents.configure'),
	// Its agent is enabled already, so that nothing of it changes and only the order itself is entered.
	bulkExecute: created('agents.bulk'),
	createPriceAlert: created('price_alerts.create'),
	setPriceAlert: changed('price_alerts.set', {
		input: ({ clientId, alertId }) => ({ client_id: clientId, alert_id: alertId, enabled: false }),
	}),
	deletePriceAlert: { action: 'price_alerts.delete', before: true, after: false },
	// What an admin says in the place of an agent (identity.md section 7).
	uninstallHost: changed('agents.uninstall', { input: ({ instanceId, clientId }) => ({ instance_id: instanceId, client_id: clientId }) }),
	hostEnded: created('agents.termination'),
	cleanupReport: created('agents.cleanup_report'),
	terminationReport: changed('terminations.report'),
	commandExecuted: changed('commands.executed'),
	markCommandExecuted: changed('commands.executed'),
	switchReport: created('switches.report'),
	createReplica: created('replicas.create'),
	attachReplica: changed('replicas.attach'),
	deleteReplica: changed('replicas.delete'),
	promoteReplica: changed('replicas.promote', {
		prepare: ({ api }, { handle, replicaId }) => api.replicaStatus({ agent_id: handle, replica_id: replicaId, status: 'ready' }),
	}),
	replicaStatus: changed('replicas.status'),
	replicaSync: changed('replicas.sync'),
	rebalanceRecommendation: created('notices.rebalance'),
	createEmergencyReplica: created('notices.rebalance'),
	terminationImminent: created('notices.termination'),
	rebalanceNotice: created('notices.rebalance'),
	terminationNotice: created('notices.termination'),
	simulateNotice: created('notices.rebalance', {
		prepare: ({ api }, { clientId }) => api.updateClient({ client_id: clientId, test_client: true }),
	}),
	runJob: created('jobs.run'),
	runRetention: created('retention.run'),
	pauseJob: changed('jobs.pause'),
	resumeJob: changed('jobs.resume', { prepare: ({ api }) => api.pauseJob({ name: 'answers' }) }),
	readNotification: changed('notifications.read'),
	readAllNotifications: changed('notifications.read_all', { input: ({ clientId }) => ({ client_id: clientId }) }),
	createWebhook: created('webhooks.create'),
	updateWebhook: changed('webhooks.update'),
	deleteWebhook: { action: 'webhooks.delete', before: true, after: false },
	testWebhook: created('webhooks.test'),
	retryWebhookDeliveries: changed('webhooks.retry'),
	pricingReport: created('prices.report'),
	decide: created('prices.report'),
};

/** A heartbeat of an admin means nothing, an admin cannot register a machine, and these change nothing, or not as they are called here. */
const SILENT = new Set<string>([
	...['heartbeat', 'registerHost', 'reconcileSavings', 'recomputeSavings', 'simulateSwitch'],
	...['uploadEngine', 'uploadModel', 'activateModel', 'fallbackModel'],
]);

describeEachDatabase('the audit', ({ freshUrl }) => {
	let test: TestDaemon;
	let rows: Rows;
	const secrets = new Set<string>();

	beforeAll(async () => {
		const url = await freshUrl();
		test = await startDaemon(url, { flags: { 'security.tokenRevealKey': KEY, 'log.level': 'debug' } });
		rows = await openRows(url);
		secrets.add(test.admin);
	});
	afterAll(async () => {
		await rows.close();
		await stopDaemons();
	});

	const auditOf = async (requestId: unknown) => (await rows.of('audit')).filter((row) => row['request_id'] === requestId);

	it('knows every operation that changes something', () => {
		const changing = coreOperations.filter(({ name, operation }) => operation.method !== 'GET' && !SILENT.has(name));
		expect(changing.map(({ name }) => name).filter((name) => AUDITED[name] === undefined)).toEqual([]);
	});

	it('is written for each call: no read that leaves a row is answered with what another one asked', () => {
		const reads = coreOperations.filter(({ name, operation }) => operation.method === 'GET' && AUDITED[name] !== undefined);
		expect(reads.map(({ name }) => name)).toEqual(['revealToken']);
		expect(reads.filter(({ operation }) => !operation.ofOneCall)).toEqual([]);
	});

	it.each(coreOperations.filter(({ name }) => AUDITED[name] !== undefined))(
		'has one row for $name: who, what, before, after',
		async (each) => {
			const expected = AUDITED[each.name] as Audited;
			const scene = await makeScene(test);
			secrets.add(scene.token);
			await expected.prepare?.(test, scene);
			const input = (expected.input ?? INPUTS[each.name])(scene) as Record<string, unknown>;
			const answer = await test.send({
				...requestOf(each.operation, input),
				token: test.admin,
				headers: { 'x-request-id': `key-${scene.tag}` },
			});
			expect(answer.status, answer.text).toBe(each.operation.status);
			for (const found of answer.text.matchAll(/"(?:token|secret)":"([^"]+)"/g)) secrets.add(found[1] ?? '');
			const found = await auditOf(answer.headers['x-request-id']);
			expect(found).toHaveLength(1);
			const [row = {}] = found;
			expect({
				actor: row['actor'],
				action: row['action'],
				before: row['before_json'] !== null,
				after: row['after_json'] !== null,
			}).toEqual({
				actor: 'admin:bootstrap',
				action: expected.action,
				before: expected.before,
				after: expected.after,
			});
			expect(row['before_json']).not.toBe(row['after_json']);
		},
	);

	it('names a client that changes its own things, and says nothing where nothing was changed', async () => {
		const scene = await makeScene(test);
		secrets.add(scene.token);
		const toggle = (enabled: boolean) =>
			test.send({ method: 'POST', path: `/api/client/agents/${scene.agentId}/toggle-enabled`, token: scene.token, body: { enabled } });
		const [row] = await auditOf((await toggle(false)).headers['x-request-id']);
		expect([row?.['actor'], row?.['before_json'], row?.['after_json']]).toEqual([
			`client:client-${scene.tag}`,
			'{"enabled":1}',
			'{"enabled":0}',
		]);
		expect(await auditOf((await toggle(false)).headers['x-request-id'])).toEqual([]);
		const dry = await test.send({
			method: 'POST',
			path: `/api/client/agents/${scene.agentId}/config`,
			token: scene.token,
			body: { terminateWaitMinutes: 99, dry_run: true },
		});
		expect([dry.status, await auditOf(dry.headers['x-request-id'])]).toEqual([200, []]);
	});

	it('has the first admin token too', async () => {
		const [row] = (await rows.of('audit')).filter((each) => each['action'] === 'admin_tokens.create' && each['request_id'] === null);
		expect([row?.['actor'], row?.['after_json']]).toEqual(['spotctl', '{"name":"bootstrap","scope":"admin","by":"spotctl serve"}']);
	});

	it('and every other table, and the log, hold no text of any token', async () => {
		const scene = await makeScene(test);
		secrets.add(scene.token);
		const path = `/api/agents/${scene.handle}/heartbeat`;
		await test.send({
			method: 'POST',
			path: `${path}?token=${scene.token}&client_token=${scene.token}`,
			body: { client_token: scene.token },
		});
		await test.send({ method: 'POST', path, headers: { authorization: `Token ${scene.token}` }, body: '{broken' });
		await test.send({ method: 'POST', path, token: scene.token, body: { status: scene.token, instance_id: scene.token } });
		await test.send({ path: `/api/client/validate?client_token=${scene.token}`, token: 'garbage' });
		await test.send({ method: 'POST', path: '/api/agents/register', body: { client_token: scene.token, instance_id: 5 } });
		await test.send({ path: '/nowhere?token=abc', token: scene.token });
		const stored = await rows.everything();
		const logged = test.log();
		expect(logged).toContain('"msg":"request"');
		expect(secrets.size).toBeGreaterThan(30);
		for (const secret of secrets) {
			// The first ten characters are kept on purpose, for recognising a token.
			const rest = secret.slice(10, 30);
			expect(rest).toHaveLength(20);
			expect(stored.includes(rest), 'in the database').toBe(false);
			expect(logged.includes(rest), 'in the log').toBe(false);
		}
	});
});
