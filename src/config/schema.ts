import { z } from 'zod';
import * as fields from './fields.ts';

const {
	adminToken,
	choice,
	dashboard,
	databaseUrl,
	duration,
	flag,
	host,
	integer,
	key,
	networks,
	origins,
	path,
	serverUrl,
	size,
	text,
	token,
	trustedProxies,
	webhookUrl,
} = fields;

const server = z
	.object({
		host: host().prefault('127.0.0.1').describe('address the daemon listens on; 0.0.0.0 for every interface'),
		port: integer(0, 65_535).prefault(5000).describe('port the daemon listens on; 0 takes a free one'),
		trustProxy: trustedProxies()
			.prefault(false)
			.describe(
				'whose X-Forwarded-For is believed: false, true (everybody), or a list of addresses and CIDR ranges of your load balancers',
			),
		openDashboard: dashboard()
			.prefault('off')
			.describe(
				'lets the old web dashboard in without a token and answers it in its bare format: off, read (it may look), full (it may change things too); needs corsOrigins; for closed networks only',
			),
		corsOrigins: origins()
			.prefault([])
			.describe('browser origins that may call the API, such as https://fleet.example.com; * allows every one; a list or comma separated'),
		bodyLimit: size('1kb', '1gb').prefault('1mb').describe('largest request body that is read'),
		drainTimeout: duration('0s', '1h')
			.prefault('10s')
			.describe('how long requests and jobs may take to finish when the daemon is told to stop'),
		environment: text(64).prefault('production').describe('name of this installation, shown in logs and by /health'),
	})
	.superRefine(({ openDashboard, corsOrigins }, { addIssue }) => {
		// Without a list of origins every page that a browser in this network shows could use what is open to everybody.
		if (openDashboard === 'off' || (corsOrigins.length > 0 && !corsOrigins.includes('*'))) return;
		const pages = corsOrigins.length === 0 ? 'names no page' : 'allows every page';
		addIssue({
			code: 'custom',
			path: ['openDashboard'],
			message: `lets everybody in without a token, and server.corsOrigins ${pages}: name the origin of the dashboard (SPOTCTL_SERVER_CORS_ORIGINS=https://dashboard.example.com), or set this to off`,
		});
	});

const database = z.object({
	url: databaseUrl()
		.describe('where the data lives: sqlite:/path/file.db or mysql://user:password@host:port/name (reserved characters percent-encoded)')
		.meta({ computed: 'sqlite:<stateDir>/spotctl.db' }),
	poolSize: integer(1, 100)
		.prefault(10)
		.describe('connections to MySQL of one daemon, beside up to 9 for notices and shared transactions; SQLite has one'),
	migrate: flag().prefault(false).describe('brings the schema up to date when the daemon starts; otherwise: spotctl db migrate'),
});

const security = z.object({
	adminToken: adminToken()
		.optional()
		.describe('an admin token the daemon accepts beside those in the database; at least 24 characters, no known default')
		.meta({ secret: true }),
	tokenRevealKey: key()
		.optional()
		.describe('lets client tokens be shown again: 32 random bytes as base64, base64url or hex (openssl rand -base64 32)')
		.meta({ secret: true }),
	failedAuthPerMinute: integer(1, 100_000).prefault(20).describe('wrong tokens one address may send in a minute before it is answered 429'),
});

const agents = z.object({
	heartbeatTimeout: duration('5s', '1h').prefault('2m').describe('silence after which an agent counts as offline'),
	terminateWait: duration('1s', '24h')
		.prefault('5m')
		.describe('how long a new agent leaves the old machine running after a switch; each agent has its own setting afterwards'),
});

const commands = z.object({
	lease: duration('1s', '24h').prefault('15m').describe('how long the agent that took a command may take to report its end'),
	expireEmergency: duration('1s', '30d').prefault('5m').describe('age at which an emergency command nobody took expires'),
	expireManual: duration('1s', '30d').prefault('30m').describe('age at which a command of an operator that nobody took expires'),
	expireModel: duration('1s', '30d').prefault('15m').describe('age at which a command of the decision engine that nobody took expires'),
	expireScheduled: duration('1s', '30d').prefault('24h').describe('age at which a scheduled command nobody took expires'),
});

const emergency = z.object({
	override: flag()
		.prefault(true)
		.describe('lets emergencies act whatever auto-switch and manual replica are set to; off: only for agents where one of them is on'),
});

const failover = z.object({
	silentAfter: duration('0s', '1h')
		.prefault('180s')
		.describe('silence of a primary after which its ready replica is promoted over it; 0 never does'),
	launchWithin: duration('5s', '10m')
		.prefault('45s')
		.describe('how long a fetched launch order may take to name its machine in an emergency'),
	readyWithin: duration('5s', '30m').prefault('60s').describe('how long a launched replica may take to become ready in an emergency'),
	retireRepeated: duration('1m', '24h')
		.prefault('30m')
		.describe('a replica made for a rebalance signal retires this long after the last repeat of a host that repeats it (v4)'),
	retireSingle: duration('1m', '7d').prefault('2h').describe('the same after the one report of a host that does not repeat it (classic)'),
});

const notifications = z.object({
	webhookUrl: webhookUrl()
		.optional()
		.describe('told of notifications of every client by signed POST requests; more webhooks: spotctl notifications webhooks')
		.meta({ secret: true }),
	webhookSecret: token()
		.optional()
		.describe(
			'what the requests to webhookUrl are signed with; when not set, one is made: spotctl notifications webhooks update configured --rotate-secret',
		)
		.meta({ secret: true }),
	webhookMinSeverity: choice(['info', 'warning', 'error', 'critical'])
		.prefault('warning')
		.describe('least severity that webhookUrl is told of'),
	webhookAllowed: networks()
		.prefault([])
		.describe(
			'addresses and CIDR ranges that webhooks may call although they are link-local or addresses of cloud metadata; a list or comma separated',
		),
});

const jobs = z.object({
	enabled: flag().prefault(true).describe('runs the background jobs inside this daemon'),
});

const days = (fallback: number, what: string) =>
	integer(0, 36_500).prefault(fallback).describe(`days that ${what} are kept; 0 keeps them for ever`);

const retention = z.object({
	rawPrices: days(30, 'price reports of agents, as they came,'),
	cleanPrices: days(400, 'clean prices, one per pool and five minutes,'),
	commands: days(7, 'finished commands'),
	replicas: days(400, 'finished replicas'),
	instances: days(400, 'terminated instances'),
	events: days(90, 'events'),
	audit: days(180, 'audit entries'),
	readNotifications: days(30, 'notifications that were read'),
	cleanupLogs: days(30, 'reports of removed snapshots and images'),
	ledger: days(
		400,
		'the cost segments of ended machines, and the facts they follow from (the figures of agents and machines begin there then, those of clients go on),',
	),
});

const log = z.object({
	level: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], { warning: 'warn', critical: 'fatal' })
		.prefault('info')
		.describe('least important line that is written: trace, debug, info, warn, error, fatal, silent'),
	format: choice(['auto', 'json', 'pretty'])
		.prefault('auto')
		.describe('shape of log lines: auto is pretty on a terminal and json elsewhere'),
	dir: path().optional().describe('folder for a log file beside the log on stderr'),
});

const client = z.object({
	server: serverUrl().optional().describe('daemon the commands talk to; the local one when not set'),
	token: token().optional().describe('token the commands send; better kept in a file: client.tokenFile').meta({ secret: true }),
	tokenFile: path().optional().describe('file with the token the commands send'),
	mode: choice(['http', 'local'])
		.prefault('http')
		.describe('how commands reach the data: http asks the daemon, local opens the database directly'),
	output: choice(['table', 'wide', 'json', 'jsonl', 'yaml', 'csv'])
		.optional()
		.describe('format of answers: table, wide, json, jsonl, yaml, csv; a table when not set'),
	timeout: duration('100ms', '1h').prefault('30s').describe('how long a command waits for an answer'),
});

/**
 * Every setting of the daemon and the commands, nested by section. Input may be text (from variables) or typed (from files);
 * output durations are milliseconds, sizes bytes, paths absolute. `stateDir` and `database.url` must be given: their defaults depend
 * on the machine and are made by the loader. Each leaf has a description and the meta keys `kind`, `secret` and `computed`.
 */
export const configSchema = z.object({
	stateDir: path()
		.describe('folder for the database, the admin token and the pid of the local daemon')
		.meta({ computed: '$XDG_STATE_HOME/spotctl or ~/.local/state/spotctl' }),
	server: server.prefault({}).describe('The daemon as a network service'),
	database: database.describe('SQLite or MySQL'),
	security: security.prefault({}).describe('Tokens and keys'),
	agents: agents.prefault({}).describe('Agents on EC2 instances'),
	commands: commands.prefault({}).describe('Orders to agents'),
	emergency: emergency.prefault({}).describe('Notices of AWS'),
	failover: failover.prefault({}).describe('From a notice to the next primary'),
	notifications: notifications.prefault({}).describe('Telling people'),
	jobs: jobs.prefault({}).describe('Background work'),
	retention: retention.prefault({}).describe('What is deleted when it is old'),
	log: log.prefault({}).describe('Logging of the daemon'),
	client: client.prefault({}).describe('What the operator commands use'),
});

/** The checked configuration: durations in milliseconds, sizes in bytes, absolute paths, normalised URLs. */
export type Config = z.output<typeof configSchema>;

/** The dotted path of a setting, such as `server.port`. */
export type SettingPath = {
	[S in keyof Config]: Config[S] extends string ? S : `${S}.${Extract<keyof Config[S], string>}`;
}[keyof Config];
