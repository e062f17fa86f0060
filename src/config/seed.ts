import { isIP, isIPv6 } from 'node:net';
import type { Candidate } from './candidate.ts';
import { mysqlUrl } from './database-url.ts';
import type { Origin, Problem } from './origin.ts';
import type { SettingPath } from './schema.ts';
import { settingAt } from './settings.ts';
import { givenValue, originIn, type VariableSource } from './variables.ts';

type SeedName = { readonly name: string; readonly path: SettingPath; readonly accepts?: (value: string) => boolean };

/** The variables of the server before this one that still mean something, for settings they stand for one to one. */
export const SEED_NAMES: readonly SeedName[] = [
	{ name: 'DB_POOL_SIZE', path: 'database.poolSize' },
	{ name: 'FLASK_HOST', path: 'server.host' },
	// Shells and build tools export HOST with a machine's or platform's name in it; only an address can be meant for us.
	{ name: 'HOST', path: 'server.host', accepts: (value) => isIP(value) > 0 || value === 'localhost' },
	{ name: 'FLASK_PORT', path: 'server.port' },
	{ name: 'PORT', path: 'server.port' },
	{ name: 'FLASK_ENV', path: 'server.environment' },
	{ name: 'ADMIN_TOKEN', path: 'security.adminToken' },
	{ name: 'CORS_ORIGINS', path: 'server.corsOrigins' },
	{ name: 'LOG_LEVEL', path: 'log.level' },
	{ name: 'LOG_DIR', path: 'log.dir' },
	{ name: 'AGENT_HEARTBEAT_TIMEOUT', path: 'agents.heartbeatTimeout' },
	{ name: 'DEFAULT_TERMINATE_WAIT_SECONDS', path: 'agents.terminateWait' },
	{ name: 'ENABLE_BACKGROUND_JOBS', path: 'jobs.enabled' },
	{ name: 'TERMINATION_NOTIFICATION_WEBHOOK', path: 'notifications.webhookUrl' },
];

/** The variables that together make the address of a MySQL database. */
export const SEED_DATABASE_NAMES = ['DB_HOST', 'DB_PORT', 'DB_USER', 'DB_PASSWORD', 'DB_DATABASE', 'DB_NAME'] as const;

type Found = { readonly value: string; readonly origin: Origin };

const find = (sources: readonly VariableSource[], ...names: readonly string[]): Found | undefined => {
	for (const source of sources)
		for (const name of names) {
			const value = givenValue(source, name);
			if (value !== undefined) return { value, origin: originIn(source, name) };
		}
	return undefined;
};

const findPassword = (sources: readonly VariableSource[]): Found | undefined => {
	const found = find(sources, 'DB_PASSWORD');
	const source = sources.find((one) => one.kind === found?.origin.kind);
	return found && { ...found, value: source?.values['DB_PASSWORD'] ?? found.value };
};

const isHost = (text: string): boolean => isIPv6(text) || /^[a-z0-9_.-]{1,253}$/i.test(text);

const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;

const merge = (found: readonly Found[]): Origin => ({
	kind: found.every(({ origin }) => origin.kind === '.env') ? '.env' : 'environment',
	source: found.map(({ origin }) => origin.source).join(', '),
});

const database = (sources: readonly VariableSource[]): { candidate?: Candidate; warnings: string[] } => {
	const setting = settingAt('database.url');
	const host = find(sources, 'DB_HOST');
	const name = find(sources, 'DB_DATABASE', 'DB_NAME');
	const [port, user, password] = [find(sources, 'DB_PORT'), find(sources, 'DB_USER'), findPassword(sources)];
	const credential = user ?? password;
	if (!setting || (!host && !name)) {
		const ignored = 'is ignored: none of DB_HOST, DB_DATABASE and DB_NAME is set';
		return { warnings: credential ? [`${credential.origin.source} ${ignored}`] : [] };
	}
	const problems: Problem[] = [];
	const check = (found: Found | undefined, passes: (value: string) => boolean, must: string) => {
		if (found && !passes(found.value))
			problems.push({ where: `${found.origin.source} (database.url)`, problem: `must be ${must} (got ${JSON.stringify(found.value)})` });
	};
	check(host, isHost, 'a host name or an IP address without port');
	check(port, isPort, 'a whole number from 1 to 65535');
	check(name, (value) => !value.includes('/'), 'a database name without /');
	const [first, second] = [find(sources, 'DB_DATABASE'), find(sources, 'DB_NAME')];
	const differ = first && second && first.value !== second.value;
	const used = [host, port, user, password, name].filter((found) => found !== undefined);
	const url = mysqlUrl({
		host: host?.value ?? 'localhost',
		port: Number(port?.value ?? 3306),
		user: user?.value ?? 'root',
		password: password?.value ?? '',
		name: name?.value ?? 'spot_optimizer',
	});
	const origin = merge(used);
	const candidate = { setting, value: url, origin, where: `${origin.source} (database.url)`, base: '', shared: true, problems };
	return { candidate, warnings: differ ? ['DB_DATABASE and DB_NAME name different databases'] : [] };
};

/**
 * What the variables of the server before this one say, weaker than every SPOTCTL_* name. `sources` strongest first. DB_HOST,
 * DB_DATABASE or DB_NAME make a MySQL address of all DB_* variables; names without a meaning here are not looked at.
 */
export const readSeed = (
	sources: readonly VariableSource[],
): { readonly candidates: readonly Candidate[]; readonly warnings: readonly string[] } => {
	const { candidate, warnings } = database(sources);
	const candidates = sources.flatMap((source) =>
		SEED_NAMES.flatMap(({ name, path, accepts }): Candidate[] => {
			const value = givenValue(source, name);
			const setting = settingAt(path);
			if (!setting || value === undefined || accepts?.(value) === false) return [];
			const origin = originIn(source, name);
			return [{ setting, value, origin, where: `${origin.source} (${path})`, base: source.base, shared: true }];
		}),
	);
	return { candidates: candidate ? [candidate, ...candidates] : candidates, warnings };
};
