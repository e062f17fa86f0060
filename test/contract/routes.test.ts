import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RESERVED } from '../../src/contract/envelope.ts';
import { operations } from '../../src/contract/index.ts';
import { type Operation, pathParameters } from '../../src/contract/operation.ts';
import { type Answer, classicPrices, machine, type Sent, startDaemon, stopDaemons, type TestDaemon } from '../helpers/daemon.ts';
import { type DatabaseKind, describeEachDatabase } from '../helpers/databases.ts';
import { ghostOf, INPUTS, makeScene, requestOf, type Scene } from '../helpers/scene.ts';
import { type Declared, declared, lookUp, routeName } from './facts.ts';
import { makeFleet } from './fleet.ts';
import { DIFFERENT, EMPTY_LISTS, WANT_AN_AGENT } from './known.ts';

const ORIGIN = 'https://dashboard.example.com';
/** Without one, tokens cannot be shown again (#11 answers 410). */
const REVEAL_KEY = Buffer.alloc(32, 'contract').toString('base64');

type Input = Readonly<Record<string, unknown>>;

/** The call of a route about the things of a scene: the well-formed one of helpers/scene.ts, or what its path names. */
const inputOf = ({ name, operation }: Declared, scene: Scene): Input => {
	const make = (INPUTS as Readonly<Record<string, ((scene: Scene) => object) | undefined>>)[name];
	if (make !== undefined) return make(scene) as Input;
	const ids: Input = {
		client_id: scene.clientId,
		agent_id: scene.handle,
		instance_id: scene.instanceId,
		command_id: scene.commandId,
		replica_id: scene.replicaId,
	};
	return Object.fromEntries(pathParameters(operation.path).map((key) => [key, ids[key] ?? 'none']));
};

const sentTo = (each: Declared, scene: Scene, more: Input = {}): Sent => requestOf(each.operation, { ...inputOf(each, scene), ...more });

/** What must have happened for a call to succeed, by the contract's number; what it answers goes into the call. */
const BEFORE: Readonly<Record<string, (test: TestDaemon, scene: Scene) => Promise<Input>>> = {
	47: async (test, scene) => {
		await test.apiAs(scene.token).pendingCommands({ agent_id: scene.handle });
		return {};
	},
	X21: async (test, scene) => {
		await test.apiAs(scene.token).pendingCommands({ agent_id: scene.handle });
		return {};
	},
	49: async (test, scene) => {
		await test.apiAs(scene.token).pendingCommands({ agent_id: scene.handle });
		return {};
	},
	45: async (test, scene) => {
		await test.api.cancelCommand({ command_id: scene.commandId });
		return {};
	},
	59: async (test, scene) => {
		await test.apiAs(scene.token).deleteReplica({ agent_id: scene.handle, replica_id: scene.replicaId });
		return {};
	},
	62: async (test, scene) => {
		const api = test.apiAs(scene.token);
		await api.registerHost(machine(scene.standbyId, { logical_agent_id: scene.logicalId }));
		await api.replicaStatus({ agent_id: scene.handle, replica_id: scene.replicaId, status: 'ready' });
		return {};
	},
	32: async (test, scene) => {
		await test.apiAs(scene.token).cancelCommand({ command_id: scene.commandId });
		return { dry_run: false };
	},
	X31: async (test, scene) => {
		await test.apiAs(scene.token).cancelCommand({ command_id: scene.commandId });
		return {};
	},
	X12: async () => ({ threshold: 0.05 }),
};

/** The first event of a stream, and its media type. */
const firstEvent = (base: string, { path, token }: Sent): Promise<{ status: number; type: string; text: string }> =>
	new Promise((resolve, reject) => {
		const outgoing = request(`${base}${path}`, { headers: token == null ? {} : { authorization: `Bearer ${token}` } }, (incoming) => {
			let text = '';
			const done = (): void => {
				outgoing.destroy();
				resolve({ status: incoming.statusCode ?? 0, type: String(incoming.headers['content-type']), text });
			};
			incoming.on('data', (chunk: Buffer) => {
				text += chunk.toString('utf8');
				if (text.includes('\n\n')) done();
			});
			incoming.on('end', done);
		});
		outgoing.on('error', (error: NodeJS.ErrnoException) => error.code !== 'ECONNRESET' && reject(error));
		outgoing.setTimeout(5000, () => reject(new Error(`${path} sent no event within 5 s`)));
		outgoing.end();
	});

/** R4: what is wrong with a refusal. */
const errorProblems = ({ status, body }: Answer, wanted: readonly number[], code?: string): string[] => [
	...(wanted.includes(status) ? [] : [`answered ${status} ${String(body['code'])}, not ${wanted.join(' or ')}`]),
	...(body['status'] === 'error' && typeof body['error'] === 'string' && typeof body['code'] === 'string' && body['data'] === null
		? []
		: ['is no error of R4']),
	...(code === undefined || body['code'] === code ? [] : [`has code ${String(body['code'])}, not ${code}`]),
];

/** R1, R2 and R4 on a success: what is wrong with it, and its payload. */
const opened = ({ operation, fact }: Declared, { status, body, headers, text }: Answer) => {
	const problems: string[] = [];
	const say = (wrong: boolean, problem: string): void => void (wrong && problems.push(problem));
	if (fact.rendering === 'csv') {
		say(!String(headers['content-type']).startsWith('text/csv'), `is ${String(headers['content-type'])}`);
		say(text.split('\r\n')[0]?.replaceAll('"', '') !== fact.csv?.header, `has the header ${text.split('\n')[0]}`);
		const file = fact.csv?.fileName.replace('<id>', '[^"]+').replaceAll('.', '\\.') ?? '';
		say(!new RegExp(file).test(String(headers['content-disposition'])), `is called ${String(headers['content-disposition'])}`);
		return { problems, payload: null };
	}
	say(!String(headers['content-type']).startsWith('application/json'), `is ${String(headers['content-type'])}`);
	if (operation.rendering === 'raw') {
		say('data' in body, 'is wrapped');
		return { problems, payload: body };
	}
	const { data } = body;
	say(status !== operation.status && operation.statusOf?.(data as never) !== status, `answered ${status}, not ${operation.status}`);
	say(body['status'] !== 'success' || body['error'] !== null, 'is not in the envelope');
	if (operation.rendering === 'list') {
		say(!Array.isArray(data) || body['count'] !== data.length, `counts ${String(body['count'])}`);
		say(!('next_cursor' in body), 'has no next_cursor');
	} else if (typeof data !== 'object' || data === null) problems.push('has no payload');
	else
		for (const [key, value] of Object.entries(data))
			say(!RESERVED.has(key) && !isDeepStrictEqual(body[key], value), `does not copy ${key}`);
	return { problems, payload: data };
};

type Row = { checked: Set<string>; exercised: string };
const table = new Map<string, Record<DatabaseKind, Row>>();
const row = ({ fact }: Declared, kind: DatabaseKind): Row => {
	const rows = table.get(fact.no) ?? { sqlite: { checked: new Set(), exercised: '-' }, mariadb: { checked: new Set(), exercised: '-' } };
	table.set(fact.no, rows);
	return rows[kind];
};

/** Field by field against the facts; the fields that had a value are counted. */
const fieldProblems = (each: Declared, payload: unknown, kind: DatabaseKind): string[] => {
	const payloads = each.operation.rendering === 'list' ? (payload as unknown[]) : [payload];
	return (each.fact.response ?? []).flatMap((field) =>
		payloads.flatMap((one) => {
			const { values, problems } = lookUp(field, one);
			if (values > 0) row(each, kind).checked.add(field.name);
			return differs.has(`#${each.fact.no} ${field.name}`) ? [] : problems;
		}),
	);
};

/** Fields whose declared type is known to differ from the contract's. */
const differs = new Set(Object.keys(DIFFERENT).map((line) => line.split(' ').slice(0, 2).join(' ')));

const labelled = ({ fact }: Declared, problems: readonly string[]): string[] =>
	[...new Set(problems)].map((problem) => `#${fact.no} ${routeName(fact)} ${problem}`);

/** Scenes are made side by side: each commit is waited for by several. */
const AT_ONCE = 8;

/** Runs a check over routes and fails with all that is wrong at once. */
const forEach = async (routes: readonly Declared[], check: (each: Declared) => Promise<readonly string[]>): Promise<void> => {
	const problems = new Map<Declared, readonly string[]>();
	const waiting = [...routes];
	const work = async (): Promise<void> => {
		for (let each = waiting.shift(); each !== undefined; each = waiting.shift()) problems.set(each, labelled(each, await check(each)));
	};
	await Promise.all(Array.from({ length: AT_ONCE }, work));
	expect(routes.flatMap((each) => problems.get(each) ?? [])).toEqual([]);
};

const isGet = ({ operation }: Declared): boolean => operation.method === 'GET';
const isStream = ({ fact }: Declared): boolean => fact.rendering === 'sse';
const isPublic = ({ fact }: Declared): boolean => fact.access === 'public';
const namesOnly = ({ operation }: Declared, ...allowed: string[]): boolean =>
	pathParameters(operation.path).every((key) => allowed.includes(key));
const methodsOf = new Map<string, string[]>();
for (const { path, method } of Object.values(operations) as Operation[]) methodsOf.set(path, [...(methodsOf.get(path) ?? []), method]);
const plain = declared.filter((each) => !isStream(each));
const reads = plain.filter(isGet);
const writes = plain.filter((each) => !isGet(each));

describeEachDatabase('every route of the contract', ({ kind, freshUrl }) => {
	let test: TestDaemon;
	let empty: Scene;
	let fleet: Scene;
	let other: Scene;

	beforeAll(async () => {
		test = await startDaemon(await freshUrl(), {
			flags: { 'security.failedAuthPerMinute': 100_000, 'server.corsOrigins': [ORIGIN], 'security.tokenRevealKey': REVEAL_KEY },
		});
		const { client } = await test.api.createClient({ name: 'empty' });
		empty = { ...ghostOf({ tag: 'empty' } as Scene), clientId: client.id, token: client.token, tokenId: client.token_id };
	});
	afterAll(stopDaemons);

	/** With an admin token a route that takes the client from the token asks for one (endpoints.md B). */
	const asAdmin = async (each: Declared, scene: Scene): Promise<Answer> => {
		const answer = await test.send({ ...sentTo(each, scene), token: test.admin });
		if (answer.body['code'] !== 'CLIENT_REQUIRED') return answer;
		return test.send({ ...sentTo(each, scene, { client_id: scene.clientId }), token: test.admin });
	};

	const tokenOf = ({ fact }: Declared, scene: Scene): string => (fact.access === 'admin' ? test.admin : scene.token);

	const succeeded = (each: Declared, answer: Answer): string[] => {
		if (answer.status >= 300) return [`answered ${answer.status}: ${answer.text.slice(0, 200)}`];
		const { problems, payload } = opened(each, answer);
		return payload === null || problems.length > 0 ? problems : fieldProblems(each, payload, kind);
	};

	it('answers a client without any agent, and an id that is nobody’s as documented', () =>
		forEach(reads, async (each) => {
			const answer = await test.send({ ...sentTo(each, empty), token: tokenOf(each, empty) });
			if (each.fact.no === 'X20') return errorProblems(answer, [403], 'UNKNOWN_AGENT');
			if (!namesOnly(each, 'client_id')) return errorProblems(answer, [404]);
			return answer.status < 300
				? succeeded(each, answer)
				: errorProblems(answer, WANT_AN_AGENT.includes(each.fact.no) ? [404] : (each.fact.errors ?? []));
		}));

	it('reads a fleet that has lived: envelope, every documented field, for its client and for an admin', { timeout: 60_000 }, async () => {
		fleet = await makeFleet(test);
		other = await makeScene(test);
		// The books are kept by a job, which enters new agents within ten seconds.
		await expect
			.poll(async () => (await test.api.clientSavings({ client_id: fleet.clientId })).items.length, { timeout: 20_000 })
			.toBeGreaterThan(0);
		// And what jobs ran is written with the next renewal of their leases.
		await expect.poll(async () => (await test.api.consolidationJobs({})).items.length, { timeout: 20_000 }).toBeGreaterThan(0);
		const barren: string[] = [];
		await forEach(reads, async (each) => {
			const own = await test.send({ ...sentTo(each, fleet), token: tokenOf(each, fleet) });
			row(each, kind).exercised = String(own.status);
			const problems = [...succeeded(each, own)];
			if (each.fact.access === 'client') problems.push(...succeeded(each, await asAdmin(each, fleet)));
			if (each.operation.rendering === 'list' && own.body['count'] === 0) barren.push(each.fact.no);
			return each.fact.no === '18' ? problems.filter((problem) => !problem.includes('CLIENT_REQUIRED')) : problems;
		});
		expect(barren.sort()).toEqual(EMPTY_LISTS.filter((no) => declared.some(({ fact }) => fact.no === no)).sort());
	});

	it('answers the 14 bare when asked to, and no other', () =>
		forEach(reads, async (each) => {
			const headers = { 'x-response-format': 'bare' };
			const { text, status, body } = await test.send({ ...sentTo(each, fleet), token: tokenOf(each, fleet), headers });
			if (status !== 200) return [`answered ${status}`];
			if (['raw', 'csv', 'sse'].includes(each.operation.rendering)) return [];
			if (each.fact.bare !== true) return body['status'] === 'success' && 'data' in body ? [] : ['is bare'];
			const payload = JSON.parse(text) as unknown;
			const isList = each.operation.rendering === 'list';
			if (Array.isArray(payload) !== isList) return [isList ? 'is no bare list' : 'is a list'];
			return fieldProblems(each, payload, kind);
		}));

	it('carries out every write, each on a scene of its own', { timeout: 120_000 }, async () => {
		await forEach(writes, async (each) => {
			const scene = await makeScene(test);
			const more = (await BEFORE[each.fact.no]?.(test, scene)) ?? {};
			const answer = await test.send({ ...sentTo(each, scene, more), token: tokenOf(each, scene) });
			row(each, kind).exercised = String(answer.status);
			if (answer.status === 501) return errorProblems(answer, [501]);
			return succeeded(each, answer);
		});
	});

	it('refuses another client’s token as documented: 403 for a client, 404 for what is another client’s, 403 to administer', () =>
		forEach(
			// Nobody's notification is answered as one that is read already, whoever's it is (#66).
			declared.filter((each) => !isPublic(each) && each.fact.no !== '66'),
			async (each) => {
				const { operation, fact } = each;
				const named = pathParameters(operation.path);
				const sent = { ...sentTo(each, fleet), token: other.token };
				if (fact.access === 'admin') return errorProblems(await test.send(sent), [403], 'FORBIDDEN');
				if (named.includes('client_id')) return errorProblems(await test.send(sent), [403], 'FORBIDDEN');
				if (fact.no === 'X20') return errorProblems(await test.send(sent), [403], 'UNKNOWN_AGENT');
				if (named.length > 0) return errorProblems(await test.send(sent), [404], 'NOT_FOUND');
				if (!('client_id' in operation.input.shape)) return [];
				const foreign = { ...sentTo(each, other, { client_id: fleet.clientId }), token: other.token };
				return errorProblems(await test.send(foreign), [403], 'FORBIDDEN');
			},
		));

	it('refuses a call without a token and with one of nobody, 401', () =>
		forEach(
			declared.filter((each) => !isPublic(each)),
			async (each) => [
				...errorProblems(await test.send(sentTo(each, fleet)), [401], 'UNAUTHORIZED'),
				...errorProblems(await test.send({ ...sentTo(each, fleet), token: 'nobody' }), [401], 'INVALID_TOKEN'),
			],
		));

	it('takes an admin token wherever it takes a client’s, for what exists and what does not', () =>
		forEach(
			writes.filter(({ fact }) => fact.access === 'client'),
			async (each) => {
				const { status, body } = await test.send({ ...sentTo(each, empty), token: test.admin });
				const wanted = ['CLIENT_REQUIRED', 'CLIENT_TOKEN_REQUIRED'].includes(String(body['code'])) || status === 404 || status < 300;
				return wanted || (status === 400 && !namesOnly(each)) ? [] : [`answered ${status} ${String(body['code'])}`];
			},
		));

	it('answers preflights without a token, HEAD where it is safe, 405 with Allow to another method', () =>
		forEach(declared, async (each) => {
			const { operation } = each;
			const { path } = sentTo(each, fleet);
			const headers = {
				origin: ORIGIN,
				'access-control-request-method': operation.method,
				'access-control-request-headers': 'authorization',
			};
			const preflight = await test.send({ method: 'OPTIONS', path, headers });
			const problems =
				preflight.status === 204 && preflight.headers['access-control-allow-origin'] === ORIGIN ? [] : [`preflight: ${preflight.status}`];
			const methods = methodsOf.get(operation.path) ?? [];
			const options = await test.send({ method: 'OPTIONS', path });
			if (options.status !== 204) problems.push(`OPTIONS: ${options.status}`);
			if (isGet(each) && !operation.path.startsWith('/api/agents') && !isStream(each)) {
				const head = await test.send({ method: 'HEAD', path, token: tokenOf(each, fleet) });
				if (head.status !== 200 || head.text !== '') problems.push(`HEAD: ${head.status}`);
			}
			const unused = ['PATCH', 'PUT', 'DELETE', 'POST', 'GET'].find((method) => !methods.includes(method)) ?? 'TRACE';
			const refused = await test.send({ method: unused, path });
			return [
				...problems,
				...errorProblems(refused, [405], 'METHOD_NOT_ALLOWED'),
				...(refused.headers['allow'] === undefined ? ['405 without Allow'] : []),
			];
		}));

	it('opens every stream with its first event', () =>
		forEach(declared.filter(isStream), async (each) => {
			for (const token of [fleet.token, test.admin]) {
				const { status, type, text } = await firstEvent(test.url, { ...sentTo(each, fleet), token });
				const first = each.fact.events?.[0] ?? '';
				row(each, kind).exercised = String(status);
				if (status !== 200 || !type.startsWith('text/event-stream') || !text.includes(`event: ${first}`))
					return [`${status} ${type} ${text.slice(0, 80)}`];
				row(each, kind).checked.add(first);
			}
			return [];
		}));

	it('keeps its promises of numbers: the prices reported are the prices read', async () => {
		await test
			.apiAs(fleet.token)
			.pricingReport({ agent_id: fleet.handle, ...classicPrices({ 'us-east-1a': 0.0421, 'us-east-1b': 0.0311 }) });
		const { pools } = await test.api.instancePricing({ instance_id: fleet.instanceId });
		for (const { price, savings } of pools) expect([typeof price, typeof savings]).toEqual(['number', 'number']);
	});
});

afterAll(() => {
	const lines = declared.map(({ fact }) => {
		const rows = table.get(fact.no);
		const all = (fact.response?.length ?? 0) + (fact.events?.length ?? 0);
		const shown = (one: Row | undefined): string => one?.exercised ?? '-';
		const checked = new Set([...(rows?.sqlite.checked ?? []), ...(rows?.mariadb.checked ?? [])]).size;
		return `| #${fact.no} \`${routeName(fact)}\` | ${shown(rows?.sqlite)} | ${shown(rows?.mariadb)} | ${fact.rendering === 'csv' ? 'header row, file name' : `${checked}/${all}`} |`;
	});
	const text = ['| Route | SQLite | MariaDB | Fields checked |', '|---|---|---|---|', ...lines].join('\n');
	const file = process.env['SPOTCTL_CONTRACT_TABLE'];
	if (file !== undefined) writeFileSync(file, `${text}\n`);
});
