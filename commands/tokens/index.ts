import { Command } from 'commander';
import type { Context } from '../context.ts';
import { createTokenCommand } from './create.ts';
import { listTokensCommand } from './list.ts';
import { revokeTokenCommand } from './revoke.ts';
import { rotateTokenCommand } from './rotate.ts';
import { showTokenCommand } from './show.ts';

export const tokensCommand = (context: Context): Command =>
	new Command('tokens')
		.addCommand(listTokensCommand(context))
		.addCommand(showTokenCommand(context))
		.addCommand(createTokenCommand(context))
		.addCommand(rotateTokenCommand(context))
		.addCommand(revokeTokenCommand(context));
