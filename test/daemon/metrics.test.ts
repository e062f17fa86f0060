import { afterEach, describe, expect, it } from 'vitest';
import { createMetrics } from '../../src/metrics.ts';
import { startDaemon, stopDaemons } from '../helpers/daemon.ts';

describe('the metrics', () => {
	it('put durations into cumulative buckets by operation and status', async () => {
		const metrics = createMetrics('1.2.3');
		const meter = metrics.route('agents.heartbeat');
		for (const ms of [0.5, 1, 2, 30, 20_000]) meter.record(200, ms);
		meter.record(503, 4);
		const text = await metrics.render();
		const bucket = (le: string) =>
			text.match(new RegExp(`operation="agents.heartbeat",status="200",le="${le.replace('+', '\\+')}"} (\\d+)`))?.[1];
		expect(['0.001', '0.0025', '0.05', '10', '+Inf'].map(bucket)).toEqual(['2', '3', '4', '4', '5']);
		expect(text).toContain('spotctl_http_request_duration_seconds_sum{operation="agents.heartbeat",status="200"} 20.0335');
		expect(text).toContain('spotctl_http_request_duration_seconds_count{operation="agents.heartbeat",status="503"} 1');
		expect(text).toContain('# TYPE spotctl_http_request_duration_seconds histogram');
	});

	it('carry the numbers of the core under their names, as they are at the scrape', async () => {
		const metrics = createMetrics('1.2.3');
		const counters = new Map([['agent_heartbeat_received_total', 7]]);
		metrics.read(() => counters);
		expect(await metrics.render()).toContain('# TYPE agent_heartbeat_received_total counter\nagent_heartbeat_received_total 7');
		counters.set('agent_heartbeat_received_total', 9).set('spotctl_agents_online', 3);
		const text = await metrics.render();
		expect(text).toContain('agent_heartbeat_received_total 9');
		expect(text).toContain('# TYPE spotctl_agents_online gauge\nspotctl_agents_online 3');
	});

	it('say which build runs and how the process is', async () => {
		const text = await createMetrics('1.2.3').render();
		expect(text).toContain(`spotctl_build_info{version="1.2.3",node="${process.version}"} 1`);
		for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'nodejs_heap_size_used_bytes'])
			expect(text).toMatch(new RegExp(`^${name} [0-9.]*[1-9]`, 'm'));
		expect(text).toMatch(/^nodejs_eventloop_utilization [01]/m);
	});

	it('are one line a series: no name twice, no help missing', async () => {
		const metrics = createMetrics('1.2.3');
		metrics.counter('spotctl_failed_logins_total', 'Requests without a valid token')();
		const lines = (await metrics.render()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
		expect(new Set(lines.map((line) => line.replace(/ [^ ]+$/, ''))).size).toBe(lines.length);
	});
});

describe('a daemon that has just started', () => {
	afterEach(stopDaemons);

	it('answers every name it measures, before anything has happened', async () => {
		const daemon = await startDaemon(null);
		const { status, text } = await daemon.send({ path: '/metrics', token: daemon.admin });
		expect(status).toBe(200);
		for (const line of [
			'agent_heartbeat_expected_total 0',
			'agent_heartbeat_missed_total 0',
			'instance_promotion_failures_total 0',
			'instance_promotion_duration_seconds_count{type="emergency"} 0',
			'switch_downtime_seconds_count 0',
			'instance_status{status="primary"} 0',
			'spotctl_failed_logins_total 0',
		])
			expect(text).toContain(`\n${line}\n`);
		expect(text).toMatch(/^instance_status_age_seconds 0(\.\d+)?$/m);
	});
});
