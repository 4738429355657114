<?php

declare(strict_types=1);

namespace Sse\Publisher;

use Sse\Event;
use Sse\PublisherInterface;
use Sse\Trace;
use SseReceipt;
use SseTrigger;

/** Publishes by the extension's own functions, or by those of {@see \Sse\Polyfill} where it is missing. */
final class ExtensionPublisher implements PublisherInterface
{
    /**
     * @param string|null $mode `ack`, `async` or `commit`, see sse_publish(); null: as `sse.publish` says. It holds for
     *                          publish() only, as sse_finish() and SseTrigger::push() have no argument for it.
     */
    public function __construct(private readonly ?string $mode = null)
    {
    }

    public function publish(Event $event): string
    {
        return $this->send($event, false);
    }

    public function publishWithReceipt(Event $event): SseReceipt
    {
        return $this->send($event, true);
    }

    public function notify(string ...$topics): bool
    {
        return SseTrigger::push(...array_values($topics));
    }

    public function finish(string $topic, mixed $data = null, ?string $type = null): string
    {
        return \sse_finish($topic, $data, $type);
    }

    /** @return ($report is true ? SseReceipt : string) */
    private function send(Event $event, bool $report): string|SseReceipt
    {
        return \sse_publish(
            $event->topics,
            $event->data,
            event: $event->type,
            retry: $event->retry,
            mode: $this->mode,
            key: $event->key,
            retain: $event->retain,
            except: $event->except,
            latest: $event->latest,
            spread: $event->spread,
            report: $report,
            traceparent: $event->traceparent ?? Trace::current(),
        );
    }
}
