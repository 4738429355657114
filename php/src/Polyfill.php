<?php

declare(strict_types=1);

namespace Sse;

use Closure;
use JsonException;
use Sse\Polyfill\Database;
use Sse\Polyfill\EventId;
use Sse\Polyfill\Folder;
use Sse\Polyfill\Held;
use Sse\Polyfill\Reader;
use Sse\Polyfill\Record;
use Sse\Polyfill\Rendering;
use Sse\Polyfill\ServedStream;
use Sse\Polyfill\Settings;
use Sse\Polyfill\Slots;
use Sse\Polyfill\Store;
use Sse\Polyfill\StreamOptions;
use Sse\Polyfill\StreamResponse;
use SseEvent;
use SseException;
use SseInvalidArgument;
use SseReceipt;
use SseUnavailable;

/**
 * The extension's functions where it is missing: macOS, Windows, shared hosts. Composer loads them there.
 *
 * Events are in an SQLite file that all processes of the site share; each stream is served in its PHP worker, which
 * looks into that file. So the same code runs, for a few clients: a stream holds a worker, as long as the polyfill's
 * limits let it. What can't be done throws an {@see SseException} that says what to do.
 */
final class Polyfill
{
    /** @var array<string, string|int> */
    private static array $own = [];
    private static ?Settings $settings = null;
    private static ?Store $store = null;
    private static ?Held $held = null;

    /** Whether this process has the polyfill in place of the extension. */
    public static function isActive(): bool
    {
        return !extension_loaded('sse');
    }

    /**
     * Sets settings where php.ini can't be changed, before the first call: `['polyfill_folder' => '/home/me/sse']`.
     *
     * @param array<string, string|int> $settings Names without `sse.`, and their values as php.ini has them.
     *
     * @throws SseException There is no such setting, or a call has been made already.
     */
    public static function configure(array $settings): void
    {
        if (self::$store !== null) {
            throw new SseException('Sse\Polyfill::configure() comes before the first call of one of its functions');
        }
        self::$own = $settings;
        self::$settings = new Settings($settings);
    }

    /**
     * @internal {@see Rules::mostTopics()}
     */
    public static function mostTopics(): int
    {
        return self::settings()->number('max_topics');
    }

    /**
     * @internal sse_stream()
     *
     * @param string|array<string>               $topics
     * @param Closure(list<SseEvent>, string=): mixed|null $render
     * @param array<string, mixed>               $options
     */
    public static function stream(string|array $topics, ?Closure $render, array $options): bool
    {
        Rendering::checkNotRunning();
        $settings = self::settings();
        $wanted = new StreamOptions($topics, $options, $render !== null, $settings);
        StreamResponse::check();
        $rendering = $render === null
            ? null
            : new Rendering($render, $wanted->event, $settings->number('max_event_size'), $wanted->streamId);
        $stream = new ServedStream($wanted, self::store(), $rendering, $settings->number('polyfill_poll'));
        $slots = new Slots(new Folder($settings), $settings);
        try {
            $stream->serve(
                static fn (): bool => StreamResponse::isCommandLine()
                    || $slots->take((string) ($_SERVER['REMOTE_ADDR'] ?? '')),
                $slots->mayGoOn(...),
            );
        } finally {
            $slots->release();
        }

        return false;
    }

    /**
     * @internal sse_publish()
     *
     * @param string|array<array-key, mixed> $topics
     *
     * @throws SseInvalidArgument|SseUnavailable|SseException|JsonException
     */
    public static function publish(
        string|array $topics,
        mixed $data,
        ?string $type,
        ?string $id,
        ?int $retry,
        ?string $mode,
        ?string $key,
        bool $retain,
        bool $report,
    ): SseReceipt {
        $settings = self::settings();
        $names = [];
        foreach (is_string($topics) ? [$topics] : $topics as $position => $topic) {
            if (!is_string($topic)) {
                $given = get_debug_type($topic);
                throw new \TypeError("sse_publish(): Argument #1 (\$topics) must be an array of strings, $given given");
            }
            if (is_string($position)) {
                throw new SseInvalidArgument(
                    "sse_publish(): \$topics must be a list, an array with the key '$position' given; the topics come "
                    . 'first, then the data',
                );
            }
            StreamOptions::checkNotOfMercure($topic, 'sse_publish()');
            $names[] = $topic;
        }
        Rules::checkPublication($names, $type, $retry, $key, $settings->number('max_topics'));
        Rules::checkId($id);
        $text = Rules::data($retain ? $data ?? '' : $data, $settings->number('max_event_size'));

        return self::send(new Record($names, $text, $type, $id, $retry), $mode, $key, $retain, $report);
    }

    /** @internal sse_finish() */
    public static function finish(string $topic, mixed $data, ?string $type): string
    {
        Rules::checkPublication([$topic], $type, null, null, 1);
        $text = Rules::data($data ?? '', self::settings()->number('max_event_size'));

        return self::send(new Record([$topic], $text, $type, finishes: true), null, null, false, false)->id;
    }

    /**
     * @internal SseTrigger
     *
     * @param list<string> $topics
     */
    public static function notify(array $topics, bool $defer): bool
    {
        foreach ($topics as $topic) {
            if (!Topic::isTopic($topic) || Topic::isReserved($topic)) {
                return false;
            }
        }
        if ($topics === []) {
            return false;
        }
        try {
            if ($defer || self::settings()->text('publish') === 'commit') {
                return self::held()->notify($topics);
            }
            self::store()->notify($topics);

            return true;
        } catch (SseException $problem) {
            error_log("php-sse: a notification was lost: {$problem->getMessage()}");

            return false;
        }
    }

    /** @internal sse_retained() */
    public static function retained(string $topic): ?SseEvent
    {
        Rules::checkTopic($topic, 'sse_retained()');

        return self::store()->retained($topic)?->event([$topic]);
    }

    /** @internal sse_cursor() */
    public static function cursor(): string
    {
        return EventId::text(self::store()->newest());
    }

    /**
     * @internal sse_stats(): those of its figures that there are
     *
     * @return array<string, mixed>
     */
    public static function stats(): array
    {
        $settings = self::settings();
        $figures = self::store()->figures();

        return [
            'version' => 'polyfill',
            'streams' => ['open' => (new Slots(new Folder($settings), $settings))->count()],
            'published' => $figures['published'],
            'history' => [
                'events' => $figures['events'],
                'bytes' => $figures['bytes'],
                'resumed' => $figures['resumed'],
                'gaps' => $figures['gaps'],
            ],
            'retained' => ['topics' => $figures['retained']],
            'finished' => ['topics' => $figures['finished']],
        ];
    }

    /**
     * @internal sse_retopic(), which finds no stream here, as it finds none of another machine
     *
     * @param array<string> $add
     * @param array<string> $remove
     */
    public static function checkRetopic(array $add, array $remove): void
    {
        foreach ([...$add, ...$remove] as $pattern) {
            Rules::checkPattern($pattern, 'sse_retopic()');
        }
    }

    /**
     * @internal SseSubscription
     *
     * @param string|array<string> $topics
     * @param array<string, mixed> $options
     */
    public static function subscribe(string|array $topics, array $options): Reader
    {
        $function = 'SseSubscription';
        foreach (array_keys($options) as $name) {
            if (!in_array($name, ['timeout', 'last_event_id'], true)) {
                throw new SseInvalidArgument("$function: unknown option '$name'; known are: timeout, last_event_id");
            }
        }
        StreamOptions::seconds($options, $function, 'timeout');
        $id = $options['last_event_id'] ?? null;
        if ($id !== null && !is_string($id)) {
            $given = get_debug_type($id);
            throw new SseInvalidArgument("$function: option 'last_event_id' must be a string, $given given");
        }
        $patterns = StreamOptions::patterns($topics, $function, self::settings()->number('max_topics'));

        return new Reader(self::store(), $patterns, $id);
    }

    /** @internal Waits between two looks, not beyond a time. */
    public static function pause(float $deadline): void
    {
        $left = (int) (min($deadline - microtime(true), 60.0) * 1e6);
        usleep(max(0, min(self::settings()->number('polyfill_poll') * 1000, $left)));
    }

    /**
     * @internal What can't be done without the extension.
     *
     * @throws SseException
     */
    public static function refuse(string $function, string $why): never
    {
        throw new SseException("$function() needs the extension sse: its polyfill $why");
    }

    private static function send(
        Record $event,
        ?string $mode,
        ?string $key,
        bool $retain,
        bool $report,
    ): SseReceipt {
        $mode ??= self::settings()->text('publish');
        if (!in_array($mode, ['ack', 'async', 'commit'], true)) {
            $name = Rules::shortened($mode);
            throw new SseInvalidArgument("sse_publish(): \$mode must be 'ack', 'async' or 'commit', '$name' given");
        }
        if ($report && $mode !== 'ack') {
            throw new SseInvalidArgument(
                "sse_publish(): with \$report the call waits for the hub, and the mode is '$mode'; pass mode: 'ack' as well",
            );
        }
        if ($mode === 'commit') {
            self::held()->publish($event, $key, $retain);

            return new SseReceipt($event->ownId ?? '');
        }

        return self::store()->publish($event, $key, $retain);
    }

    private static function settings(): Settings
    {
        return self::$settings ??= new Settings(self::$own);
    }

    private static function store(): Store
    {
        if (self::$store === null || !self::$store->isOwn()) {
            $settings = self::settings();
            self::$store = new Store(new Database(new Folder($settings), $settings), $settings);
        }

        return self::$store;
    }

    private static function held(): Held
    {
        return self::$held ??= new Held(self::store(...), self::settings()->number('commit_bytes'));
    }
}
