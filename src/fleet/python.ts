/** The real agents are Python programs. What they make of an answer follows Python's rules, kept here in one place. */
export type Dict = { readonly [key: string]: unknown };

/** An exception inside an agent's worker: logged there, and the worker goes on with its next turn. */
export class AgentError extends Error {
	constructor(message: string) {
		super(message);
		this.name = 'AgentError';
	}
}

/** A JSON object, as opposed to a list, a scalar or null. */
export const isDict = (value: unknown): value is Dict => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Python's truth: null, false, 0, '', [] and {} are false. */
export const isTruthy = (value: unknown): boolean => {
	if (Array.isArray(value)) return value.length > 0;
	if (isDict(value)) return Object.keys(value).length > 0;
	return Boolean(value);
};

/** `dict.get(key, fallback)`: the fallback stands in for a missing key only, never for null. */
export const get = (value: unknown, key: string, fallback: unknown = null): unknown => {
	if (!isDict(value)) throw new AgentError(`'${typeName(value)}' object has no attribute 'get'`);
	return Object.hasOwn(value, key) ? value[key] : fallback;
};

/** A number for a comparison: null and text raise, as in Python. */
export const comparable = (value: unknown): number => {
	if (typeof value === 'number') return value;
	if (typeof value === 'boolean') return Number(value);
	throw new AgentError(`comparison not supported between instances of '${typeName(value)}' and 'int'`);
};

/** A value inside an f-string: null is `None`. */
export const text = (value: unknown): string => {
	if (value === null || value === undefined) return 'None';
	if (value === true) return 'True';
	if (value === false) return 'False';
	return typeof value === 'object' ? JSON.stringify(value) : String(value);
};

/** The items of a list; iterating null or a number raises, and the keys of an object are no use to any agent. */
export const items = (value: unknown): readonly unknown[] => {
	if (Array.isArray(value)) return value;
	if (isDict(value) || typeof value === 'string') return [];
	throw new AgentError(`'${typeName(value)}' object is not iterable`);
};

/** `pool_id.split('.')[-1]`: how the agents find the zone in a pool id. */
export const zoneOf = (pool: unknown): string => {
	if (typeof pool !== 'string') throw new AgentError(`'${typeName(pool)}' object has no attribute 'split'`);
	return pool.split('.').at(-1) ?? '';
};

/** `datetime.now(timezone.utc).isoformat()`: microseconds, unless they are zero, and `+00:00`. */
export const isoOffset = (at: number): string => `${isoNaive(at)}+00:00`;

/** `datetime.utcnow().isoformat() + 'Z'`. */
export const isoZulu = (at: number): string => `${isoNaive(at)}Z`;

const isoNaive = (at: number): string => {
	const [seconds = '', fraction = ''] = new Date(at).toISOString().slice(0, -1).split('.');
	return fraction === '000' ? seconds : `${seconds}.${fraction}000`;
};

const typeName = (value: unknown): string => {
	if (value === null || value === undefined) return 'NoneType';
	if (Array.isArray(value)) return 'list';
	const names: Record<string, string> = { string: 'str', number: 'float', boolean: 'bool', object: 'dict' };
	return names[typeof value] ?? typeof value;
};
