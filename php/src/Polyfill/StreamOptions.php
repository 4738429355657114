<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use Sse\Base64;
use Sse\Rules;
use SseException;
use SseInvalidArgument;

/** The topics and options of an sse_stream() call, checked by the extension's rules. */
final class StreamOptions
{
    private const KNOWN = [
        'heartbeat', 'retry', 'max_lifetime', 'user', 'max_per_user', 'over_limit', 'presence', 'presence_events', 'detach',
        'headers', 'reauthorize', 'last_event_id', 'last_event_id_header', 'stream_id', 'topics_as', 'retained', 'spread',
        'event', 'initial', 'only_changes', 'poll', 'share',
    ];
    /** Seconds. */
    private const RAREST_HEARTBEAT = 15;
    /** How long a long-poll waits where its client does not say, in seconds. */
    private const LONG_POLL = 25;
    private const OF_RENDER = ['event', 'initial', 'only_changes', 'poll', 'share'];
    private const NOT_OF_RENDER = ['topics_as', 'retained'];
    /** What would need the hub, and what to do instead. */
    private const MISSING = [
        'max_per_user' => 'count a user\'s streams where you allow them',
        'over_limit' => 'count a user\'s streams where you allow them',
        'presence' => 'keep who is there in your database',
        'presence_events' => 'publish joins and leaves yourself',
        'last_event_id_header' => 'listen for the event gap',
    ];

    /** @var list<string> */
    public readonly array $patterns;
    public readonly int $heartbeat;
    public readonly int $retry;
    /** Bytes up to which each write is filled up; 0: not at all. */
    public readonly int $pad;
    /** Seconds. */
    public readonly int $lifetime;
    /** Whether the client asks for a response that ends after the first events. */
    public readonly bool $longPoll;
    public readonly ?string $lastEventId;
    public readonly ?string $topicsAs;
    public readonly bool $retained;
    /** The public id that the client is told; null: none. */
    public readonly ?string $streamId;
    /** @var array<string, string> */
    public readonly array $headers;
    public readonly ?string $event;
    public readonly bool $initial;
    public readonly bool $onlyChanges;
    /** Seconds. */
    public readonly ?float $poll;

    /**
     * @param string|array<string> $topics
     * @param array<string, mixed> $options
     *
     * @throws SseInvalidArgument One breaks a rule.
     * @throws SseException       One needs the extension.
     */
    public function __construct(string|array $topics, array $options, bool $renders, Settings $settings)
    {
        $this->patterns = self::patterns($topics, 'sse_stream()', $settings->number('max_topics'));
        foreach ($options as $name => $value) {
            $this->checkName((string) $name, $value, $renders);
        }
        $heartbeat = self::number($options, 'heartbeat', 86_400, 'seconds, 0 for none');
        // Only what is written shows that a client has left.
        $this->heartbeat = min($heartbeat ?: $settings->number('heartbeat'), self::RAREST_HEARTBEAT);
        $retry = self::number($options, 'retry', Rules::LARGEST_RETRY, 'milliseconds, 0 for none')
            ?? $settings->number('retry');
        // Clients that lost their streams together do not come back together.
        $this->retry = $retry + random_int(0, intdiv($retry * $settings->number('retry_jitter'), 100));
        $this->pad = Padding::threshold($settings);
        $most = $settings->number('polyfill_lifetime');
        $this->lifetime = min(
            self::number($options, 'max_lifetime', 31_536_000, 'seconds, 0 for no end') ?: $most,
            // The client comes back, and its script is asked again.
            self::number($options, 'reauthorize', 86_400, 'seconds, 0 for never') ?: $most,
            self::askedLifetime() ?: $most,
            $most,
        );
        $this->longPoll = ($_GET['longPoll'] ?? null) === '1';
        $id = self::text($options, 'last_event_id') ?? $_SERVER['HTTP_LAST_EVENT_ID'] ?? null;
        if (!is_string($id) || $id === '') {
            $id = $_GET['lastEventId'] ?? null;
        }
        $this->lastEventId = is_string($id) && $id !== '' ? $id : null;
        self::text($options, 'user');
        // Nobody is told later than others here.
        self::number($options, 'spread', Rules::LARGEST_SPREAD, 'milliseconds, 0 for at once');
        self::text($options, 'share');
        self::boolean($options, 'detach');
        $topicsAs = $options['topics_as'] ?? null;
        if (!in_array($topicsAs, [null, 'field', 'envelope'], true)) {
            $given = match (true) {
                is_string($topicsAs) => "'$topicsAs'",
                is_int($topicsAs) => (string) $topicsAs,
                default => get_debug_type($topicsAs),
            };
            throw new SseInvalidArgument(
                "sse_stream(): option 'topics_as' must be 'field' or 'envelope', or null for neither, $given given",
            );
        }
        $this->topicsAs = $topicsAs;
        $this->retained = self::boolean($options, 'retained') ?? false;
        $isTold = self::boolean($options, 'stream_id') ?? false;
        $this->streamId = $isTold ? Base64::encode(random_bytes(16)) : null;
        $this->headers = self::headers($options['headers'] ?? []);
        $this->event = self::text($options, 'event');
        Rules::checkLine('event type', $this->event);
        $this->initial = self::boolean($options, 'initial') ?? true;
        $this->onlyChanges = self::boolean($options, 'only_changes') ?? true;
        $this->poll = self::seconds($options, 'sse_stream()', 'poll');
        if ($this->poll !== null && ($this->poll < 0.1 || $this->poll > 86_400)) {
            throw new SseInvalidArgument(
                "sse_stream(): option 'poll' must be from 0.1 to 86400 seconds, $this->poll given; null for none",
            );
        }
    }

    /**
     * @param string|array<array-key, mixed> $topics
     *
     * @return list<string>
     */
    public static function patterns(string|array $topics, string $function, int $most): array
    {
        $patterns = [];
        foreach (is_string($topics) ? [$topics] : $topics as $topic) {
            if (!is_string($topic)) {
                $given = get_debug_type($topic);
                throw new \TypeError("$function: Argument #1 (\$topics) must be an array of strings, $given given");
            }
            // Nothing would ever come.
            self::checkNotOfMercure($topic, $function);
            Rules::checkPattern($topic, $function);
            $patterns[] = $topic;
        }
        if ($patterns === []) {
            throw new SseInvalidArgument("$function: no topic given; name at least one");
        }
        if (count($patterns) > $most) {
            $count = count($patterns);
            throw new SseInvalidArgument("$function: $count topics given; sse.max_topics allows $most");
        }

        return $patterns;
    }

    /** @throws SseException It is one of Mercure's. */
    public static function checkNotOfMercure(string $topic, string $function): void
    {
        if (str_starts_with($topic, '$mercure.')) {
            throw new SseException("$function: '$topic' needs the extension sse: its polyfill has no updates of Mercure");
        }
    }

    /** @param array<string, mixed> $options */
    public static function seconds(array $options, string $function, string $name): ?float
    {
        $value = $options[$name] ?? null;
        if ($value === null) {
            return null;
        }
        if ((!is_int($value) && !is_float($value)) || !is_finite((float) $value) || $value < 0) {
            $given = is_string($value) ? 'string' : get_debug_type($value);
            throw new SseInvalidArgument("$function: option '$name' must be a number of seconds from 0, $given given");
        }

        return (float) $value;
    }

    private function checkName(string $name, mixed $value, bool $renders): void
    {
        if (!in_array($name, self::KNOWN, true)) {
            $known = implode(', ', self::KNOWN);
            throw new SseInvalidArgument("sse_stream(): unknown option '$name'; known are: $known");
        }
        if ($value === null || $value === false) {
            return;
        }
        if (isset(self::MISSING[$name])) {
            $advice = self::MISSING[$name];
            throw new SseException(
                "sse_stream(): option '$name' needs the extension sse, and only its polyfill is there; install it, or $advice",
            );
        }
        if (!$renders && in_array($name, self::OF_RENDER, true)) {
            throw new SseInvalidArgument("sse_stream(): option '$name' is for streams with a \$render, and there is none");
        }
        if ($renders && in_array($name, self::NOT_OF_RENDER, true)) {
            $why = $name === 'retained' ? ', which can ask sse_retained() itself' : ': what that returns has no topic';
            throw new SseInvalidArgument("sse_stream(): option '$name' is for streams without a \$render$why");
        }
    }

    /** Seconds that the client wants the response to last at most, where a proxy holds back what has not ended; 0: no wish. */
    private static function askedLifetime(): int
    {
        $asked = $_GET['maxLifetime'] ?? null;
        $isNumber = is_string($asked) && preg_match('/^[0-9]{1,9}$/D', $asked) === 1;
        $seconds = $isNumber ? (int) $asked : 0;

        return $seconds === 0 && ($_GET['longPoll'] ?? null) === '1' ? self::LONG_POLL : $seconds;
    }

    /** @param array<string, mixed> $options */
    private static function number(array $options, string $name, int $most, string $unit): ?int
    {
        $value = $options[$name] ?? null;
        if ($value !== null && (!is_int($value) || $value < 0 || $value > $most)) {
            $given = is_int($value) ? $value : get_debug_type($value);
            throw new SseInvalidArgument("sse_stream(): option '$name' must be an int from 0 to $most ($unit), $given given");
        }

        return $value;
    }

    /** @param array<string, mixed> $options */
    private static function boolean(array $options, string $name): ?bool
    {
        $value = $options[$name] ?? null;
        if ($value !== null && !is_bool($value)) {
            $given = is_int($value) ? $value : get_debug_type($value);
            throw new SseInvalidArgument("sse_stream(): option '$name' must be a bool, $given given");
        }

        return $value;
    }

    /** @param array<string, mixed> $options */
    private static function text(array $options, string $name): ?string
    {
        $value = $options[$name] ?? null;
        if ($value !== null && (!is_string($value) || $value === '' || preg_match('//u', $value) !== 1)) {
            $given = is_int($value) ? $value : get_debug_type($value);
            throw new SseInvalidArgument(
                "sse_stream(): option '$name' must be a string of UTF-8 that is not empty, $given given",
            );
        }
        if (is_string($value) && strlen($value) > 255 && in_array($name, ['user', 'share'], true)) {
            $size = strlen($value);
            throw new SseInvalidArgument(
                "sse_stream(): option '$name' must be at most 255 bytes long, $size given; a hash of the key will do",
            );
        }

        return $value;
    }

    /** @return array<string, string> */
    private static function headers(mixed $headers): array
    {
        if (!is_array($headers) || ($headers !== [] && array_is_list($headers))) {
            $given = is_array($headers) ? 'a list was given' : get_debug_type($headers) . ' given';
            throw new SseInvalidArgument(is_array($headers)
                ? "sse_stream(): option 'headers' must be an array of name => value, such as ['X-A' => 'b']; $given"
                : "sse_stream(): option 'headers' must be an array of header names and values, $given");
        }
        $checked = [];
        foreach ($headers as $name => $value) {
            $name = (string) $name;
            $isToken = preg_match('/^[!#$%&\'*+.^_`|~0-9A-Za-z-]+$/D', $name) === 1;
            if (!$isToken || !is_string($value) || preg_match('/[\r\n\0]/', $value) === 1) {
                $shown = addcslashes($name, "\0..\37");
                throw new SseInvalidArgument(
                    "sse_stream(): option 'headers': '$shown' is not a header name with a one-line string value",
                );
            }
            $fixed = array_map(strtolower(...), ['Content-Type', 'Content-Encoding', 'Content-Length', ...StreamResponse::OTHERS]);
            $free = ['content-range', 'content-md5', 'accept-ranges', 'etag', 'last-modified'];
            if (in_array(strtolower($name), array_diff($fixed, $free), true)) {
                $shown = strtolower($name);
                throw new SseInvalidArgument(
                    "sse_stream(): option 'headers': '$shown' of an event stream can't be chosen",
                );
            }
            $checked[$name] = $value;
        }

        return $checked;
    }
}
