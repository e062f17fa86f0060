import { Command } from 'commander';
import type { Context } from '../context.ts';
import { createAdminTokenCommand } from './create.ts';
import { listAdminTokensCommand } from './list.ts';
import { revokeAdminTokenCommand } from './revoke.ts';

export const adminTokensCommand = (context: Context): Command =>
	new Command('admin-tokens')
		.addCommand(listAdminTokensCommand(context))
		.addCommand(createAdminTokenCommand(context))
		.addCommand(revokeAdminTokenCommand(context));
