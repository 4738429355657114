<?php

declare(strict_types=1);

namespace Sse\Laravel\Console;

use Illuminate\Console\Command;
use InvalidArgumentException;
use Sse\Console\EventLine;
use Sse\Laravel\ChannelTopics;
use SseException;
use SseSubscription;
use Symfony\Component\Console\Output\OutputInterface;

/** `php artisan sse:tail private-orders.1`: shows what is broadcast, one line of JSON an event, until it is interrupted. */
final class TailCommand extends Command
{
    /** @var string */
    protected $signature = 'sse:tail
        {channels* : names as clients have them, with private- or presence-}
        {--count=0 : ends after so many events; 0: never}';

    /** @var string */
    protected $description = 'Show the events of channels as they are broadcast';

    public function handle(ChannelTopics $topics): int
    {
        $left = (int) $this->option('count');
        try {
            $channels = $this->input->getArgument('channels');
            $patterns = array_map(
                static fn (mixed $channel): string => $topics->pattern(is_string($channel) ? $channel : ''),
                is_array($channels) ? $channels : [],
            );
            foreach (new SseSubscription($patterns) as $event) {
                if ($event->isTrigger) {
                    continue;
                }
                // As it is: a whisper is a client's text, which must be no tag of the console.
                $this->output->writeln(EventLine::of($event), OutputInterface::OUTPUT_RAW);
                if (--$left === 0) {
                    break;
                }
            }
        } catch (SseException | InvalidArgumentException $problem) {
            $this->error($problem->getMessage());

            return self::FAILURE;
        }

        return self::SUCCESS;
    }
}
