import { readdirSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { Counter, Gauge, type Metric, type MetricType, Registry } from 'prom-client';
import { COUNTERS, type Figure } from './core/counters.ts';
import { createHistogram, type Histogram, type Sample } from './histogram.ts';

/** Upper bounds of the buckets of request durations, in seconds. */
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10] as const;

/** What one operation measures: resolved once when its route is made, since a look-up per request costs 5 to 15 % of throughput. */
export type RouteMeter = {
	/** One answered request and how many milliseconds it took. */
	record(status: number, ms: number): void;
};

/** The daemon's measurements, as Prometheus reads them. */
export type Metrics = {
	route(operation: string): RouteMeter;
	/** A counter without labels; call it to add one. */
	counter(name: string, help: string): () => void;
	/** Numbers read at each scrape: `_total` names are counters, the others gauges. Beside them figures that are more than a number. */
	read(source: () => ReadonlyMap<string, number>, figures?: readonly Figure[]): void;
	/** All of it in the text format. */
	render(): Promise<string>;
	readonly contentType: string;
};

const HELP: Readonly<Record<string, string>> = COUNTERS;

/** A metric whose numbers are kept elsewhere. prom-client only ever calls `get`, but its types know none but its own classes. */
const custom = (
	name: string,
	help: string,
	type: 'counter' | 'gauge' | 'histogram',
	read: () => readonly Sample[] | Promise<readonly Sample[]>,
): Metric =>
	({
		name,
		help,
		type,
		aggregator: 'sum',
		get: async () => ({
			name,
			help,
			type: type as unknown as MetricType,
			aggregator: 'sum',
			values: (await read()).map(({ suffix, ...sample }) => (suffix === undefined ? sample : { ...sample, metricName: name + suffix })),
		}),
	}) as unknown as Metric;

const openFiles = (): number => {
	try {
		return readdirSync('/proc/self/fd').length;
	} catch {
		return 0;
	}
};

const watchProcess = (registry: Registry): void => {
	const registers = [registry];
	const gauge = (name: string, help: string, read: () => number) =>
		new Gauge({
			name,
			help,
			registers,
			collect() {
				this.set(read());
			},
		});
	new Counter({
		name: 'process_cpu_seconds_total',
		help: 'Processor time this process has used',
		registers,
		collect() {
			const { user, system } = process.cpuUsage();
			this.reset();
			this.inc((user + system) / 1e6);
		},
	});
	gauge('process_start_time_seconds', 'When the process started, in seconds since 1970', () => Math.floor(performance.timeOrigin / 1000));
	gauge('process_resident_memory_bytes', 'Memory of the process', () => process.memoryUsage.rss());
	gauge('process_open_fds', 'Open files and sockets', openFiles);
	gauge('nodejs_heap_size_used_bytes', 'Heap in use', () => process.memoryUsage().heapUsed);
	gauge('nodejs_heap_size_total_bytes', 'Heap reserved', () => process.memoryUsage().heapTotal);
	let before = performance.eventLoopUtilization();
	gauge('nodejs_eventloop_utilization', 'Share of time the event loop was busy since the last scrape', () => {
		const now = performance.eventLoopUtilization();
		const { utilization } = performance.eventLoopUtilization(now, before);
		before = now;
		return utilization;
	});
};

/** Makes the daemon's measurements; nothing runs between scrapes. */
export const createMetrics = (version: string): Metrics => {
	const registry = new Registry();
	const routes = new Map<string, Map<number, Histogram>>();
	const name = 'spotctl_http_request_duration_seconds';

	registry.registerMetric(
		custom(name, 'Time to answer requests, by operation and status', 'histogram', () =>
			[...routes].flatMap(([operation, byStatus]) =>
				[...byStatus].flatMap(([status, series]) => series.samples({ operation, status: String(status) })),
			),
		),
	);
	new Gauge({ name: 'spotctl_build_info', help: 'Version of the daemon', labelNames: ['version', 'node'], registers: [registry] }).set(
		{ version, node: process.version },
		1,
	);
	watchProcess(registry);

	const sources: (() => ReadonlyMap<string, number>)[] = [];
	const registered = new Set<string>();
	const total = (wanted: string): number => sources.reduce((sum, source) => sum + (source().get(wanted) ?? 0), 0);
	const register = (wanted: string): void => {
		registered.add(wanted);
		const type = wanted.endsWith('_total') ? 'counter' : 'gauge';
		registry.registerMetric(
			custom(wanted, HELP[wanted] ?? wanted.replaceAll('_', ' '), type, () => [{ value: total(wanted), labels: {} }]),
		);
	};

	return {
		contentType: registry.contentType,
		route: (operation) => {
			const byStatus = routes.get(operation) ?? new Map<number, Histogram>();
			routes.set(operation, byStatus);
			return {
				record: (status, ms) => {
					let series = byStatus.get(status);
					if (series === undefined) {
						series = createHistogram(BOUNDS);
						byStatus.set(status, series);
					}
					series.observe(ms / 1000);
				},
			};
		},
		counter: (wanted, help) => {
			let count = 0;
			registry.registerMetric(custom(wanted, help, 'counter', () => [{ value: count, labels: {} }]));
			return () => {
				count++;
			};
		},
		read: (source, figures = []) => {
			sources.push(source);
			for (const { name: wanted, help, kind, read } of figures) registry.registerMetric(custom(wanted, help, kind, read));
		},
		render: async () => {
			for (const source of sources) for (const wanted of source().keys()) if (!registered.has(wanted)) register(wanted);
			return registry.metrics();
		},
	};
};
