import { describe, expect, it } from 'vitest';
import { renderError, renderList, renderObject, renderSuccess } from '../../src/contract/envelope.ts';
import { SpotError } from '../../src/errors.ts';

describe('the envelope', () => {
	it('carries an object in data and copies its keys to the top level', () => {
		expect(JSON.parse(renderObject({ agent_id: 'a', config: { enabled: true } }))).toEqual({
			status: 'success',
			data: { agent_id: 'a', config: { enabled: true } },
			error: null,
			agent_id: 'a',
			config: { enabled: true },
		});
	});

	it('keeps status, data and error for itself; the payload has its own under data', () => {
		const payload = { status: 'active', data: [1], error: 'old', name: 'x' };
		expect(JSON.parse(renderObject(payload))).toEqual({ status: 'success', data: payload, error: null, name: 'x' });
	});

	it('is valid JSON for an empty payload, and for one that has reserved keys only', () => {
		expect(JSON.parse(renderObject({}))).toEqual({ status: 'success', data: {}, error: null });
		expect(JSON.parse(renderObject({ left: undefined }))).toEqual({ status: 'success', data: {}, error: null });
		expect(JSON.parse(renderObject({ status: 'ok' }))).toEqual({ status: 'success', data: { status: 'ok' }, error: null });
	});

	it('is not fooled by text that looks like its own seams', () => {
		const payload = { message: '","error":null}{"status":"success"', '"': '\\' };
		expect(JSON.parse(renderObject(payload))).toEqual({ status: 'success', data: payload, error: null, ...payload });
	});

	it('puts a list in data with its count and the next cursor', () => {
		expect(JSON.parse(renderList({ items: [{ id: 1 }, { id: 2 }], nextCursor: 'c"1' }))).toEqual({
			status: 'success',
			data: [{ id: 1 }, { id: 2 }],
			error: null,
			count: 2,
			next_cursor: 'c"1',
		});
	});

	it('renders bare and raw payloads as they are', () => {
		expect(renderSuccess('list', { items: [1], nextCursor: null }, true)).toBe('[1]');
		expect(renderSuccess('object', { status: 'active' }, true)).toBe('{"status":"active"}');
		expect(renderSuccess('raw', { status: 'ok' }, false)).toBe('{"status":"ok"}');
	});

	it('renders an error with its code twice, its hint and its extras, none of which replaces a key of the envelope', () => {
		const problem = new SpotError('conflict', 'NOT_PRIMARY', 'not the primary', {
			hint: 'ask the primary',
			extras: { primary: 'i-1', status: 'x', code: 'y', data: 1 },
		});
		expect(JSON.parse(renderError(problem, 'r-1', { valid: false, error: 'z' }))).toEqual({
			status: 'error',
			error: 'not the primary',
			code: 'NOT_PRIMARY',
			error_code: 'NOT_PRIMARY',
			data: null,
			hint: 'ask the primary',
			request_id: 'r-1',
			primary: 'i-1',
			valid: false,
		});
	});
});
