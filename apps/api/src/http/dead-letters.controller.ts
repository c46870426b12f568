import { Body, Controller, Get, HttpCode, Inject, Post, Query } from '@nestjs/common';
import { parseInput } from '@pvtrail/contracts';
import type { EventLog } from '@pvtrail/event-log';
import { redrive, StoredAnswers } from '@pvtrail/reporting';
import { OPERATIONS } from './operations.js';
import { page } from './page.js';

export const EVENT_LOG = Symbol('the event log');

/** Messages that could not be handled. */
@Controller('v1/dead-letters')
export class DeadLettersController {
  constructor(
    readonly answers: StoredAnswers,
    @Inject(EVENT_LOG) readonly log: EventLog,
  ) {}

  @Get()
  async list(@Query() query: unknown) {
    const { items: letters, total } = page(await this.answers.deadLetters(), query);
    return { letters, total };
  }

  @Post('redrive')
  @HttpCode(OPERATIONS.redriveDeadLetter.status)
  async redrive(@Body() body: unknown) {
    const place = parseInput(OPERATIONS.redriveDeadLetter.body, body);
    await redrive(this.log, place);
    return place;
  }
}
