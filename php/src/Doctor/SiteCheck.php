<?php

declare(strict_types=1);

namespace Sse\Doctor;

use RuntimeException;
use Sse\Stats;
use SseException;
use SseUnavailable;

/** Opens a stream as a browser does, looks at what the hub knows of it, and publishes to it. */
final class SiteCheck
{
    /** Type of the events that it publishes: no `onmessage` gets them. */
    public const TYPE = 'sse-doctor';
    /** Small events, one after the other; and the larger ones with which it finds out how much is held back. */
    private const EVENTS = 3;
    private const LARGE = 4096;
    private const MOST = 1 << 18;
    /** With more streams than this it is not asked which one is new. */
    private const STREAMS = 100_000;
    /** Milliseconds above which a small event is late on its way. */
    private const LATE = 150.0;

    /** @var list<Finding> */
    private array $findings = [];
    /** Whether this process may ask which streams there are, and there are not too many. */
    private bool $mayAsk = true;
    /** The newest stream that was there before. */
    private ?string $newest = null;

    /** Whether other machines share the hub's events. */
    private bool $isOneOfSeveral = false;

    /** @param array<string, string> $headers */
    public function __construct(
        private readonly string $url,
        private readonly array $headers,
        private readonly ?string $topic,
        private readonly bool $publishes,
        private readonly float $patience,
        private readonly int $hold = 0,
        private readonly bool $trustsAll = false,
    ) {
    }

    /** @return list<Finding> */
    public function findings(): array
    {
        try {
            $this->passBy();
            $browsers = $this->open(['Accept-Encoding' => 'gzip, deflate, br']);
        } catch (RuntimeException $problem) {
            $cure = 'check the address and the web server; --insecure takes any certificate, of a test machine';
            $this->add('unreachable', Finding::ERROR, $problem->getMessage(), $cure);

            return $this->findings;
        }
        try {
            $this->look($browsers);
        } finally {
            $browsers->close();
        }

        return $this->findings;
    }

    /** @param array<string, string> $more */
    private function open(array $more = []): HttpStream
    {
        return new HttpStream($this->url, $this->headers + $more, $this->patience, $this->trustsAll);
    }

    private function add(string $id, string $level, string $message, string $cure = ''): void
    {
        $this->findings[] = new Finding($id, $level, $message, $cure);
    }

    private function look(HttpStream $stream): void
    {
        $begun = microtime(true);
        if (!$stream->awaitHead($this->patience)) {
            $this->withoutHead($stream);

            return;
        }
        if ($stream->status !== 200 || !str_starts_with($stream->header('content-type'), 'text/event-stream')) {
            $stream->await(static fn (): bool => false, min(1.0, $this->patience));
        }
        $refusal = Answers::refusal($stream);
        if ($refusal !== null) {
            $this->findings[] = $refusal;

            return;
        }
        $time = number_format((microtime(true) - $begun) * 1000, 1);
        $this->add('opened', Finding::OK, "the stream begins after $time ms; " . Answers::layers($stream));
        array_push($this->findings, ...Answers::headers($stream));
        if ($stream->header('content-encoding') !== '') {
            // Whether events arrive is asked without it.
            $this->passBy();
            $plain = $this->open();
            if ($plain->awaitHead($this->patience) && $plain->header('content-encoding') === '') {
                $this->follow($plain);
                $this->hold($plain);
            }
            $plain->close();
        } else {
            $this->follow($stream);
            $this->hold($stream);
        }
        $this->protocol();
    }

    private function withoutHead(HttpStream $stream): void
    {
        $opened = $this->mayAsk && !$stream->hasEnded() ? $this->opened() : [];
        if ($opened !== []) {
            $topics = self::topicsOf(array_values($opened)[0]);
            $this->heldBack($stream, "nothing came within $this->patience s, though the hub has the stream", TrialTopic::of($topics));

            return;
        }
        $this->add(
            $stream->hasEnded() ? 'no-answer' : 'busy',
            Finding::ERROR,
            $stream->hasEnded() ? 'the connection was closed without an answer' : "no answer came within $this->patience s",
            $stream->hasEnded()
                ? 'the web server\'s error log says why'
                : 'all workers may be busy: streams that are served in workers hold them (phpinfo(): "Streams of this SAPI")',
        );
    }

    private function follow(HttpStream $stream): void
    {
        if (!$this->mayAsk) {
            $this->deliver($stream, []);

            return;
        }
        $opened = $this->opened();
        if ($opened === [] && $this->isOneOfSeveral) {
            $this->add('other-machine', Finding::NOTE, 'another machine of the same sse.bus may have the stream; this one has not');
            $this->deliver($stream, []);

            return;
        }
        if ($opened === []) {
            $socket = HubCheck::section()['Hub'] ?? '?';
            $this->add(
                'other-hub',
                Finding::ERROR,
                "the hub of this process ($socket) does not have the stream: the web server uses another one, or the polyfill",
                'run this as the web server\'s user, with its temporary folder and sse.namespace, or give both the same sse.socket',
            );

            return;
        }
        $id = (string) array_key_first($opened);
        $entry = $opened[$id];
        $this->worker($stream, $entry);
        $topics = self::topicsOf($entry);
        $shown = implode(', ', array_slice($topics, 0, 5));
        if ($this->topic !== null && !isset($this->streams($this->topic)[$id])) {
            $this->add(
                'wrong-topic',
                Finding::ERROR,
                "the stream gets nothing that is published to '$this->topic': it watches $shown",
                'topics are compared byte by byte, case included; "a.*" has exactly one segment more than "a", and "/" is no separator',
            );

            return;
        }
        $this->add('topics', Finding::OK, "it watches $shown");
        if (($entry['callback'] ?? false) === true) {
            $this->add('callback', Finding::NOTE, 'its events are made by a callback, so no event was published to try it');

            return;
        }
        $this->deliver($stream, $topics);
    }

    /** @param array<string, mixed> $entry */
    private function worker(HttpStream $stream, array $entry): void
    {
        $framing = $entry['framing'] ?? null;
        // PHP's own server names itself nowhere, and hands its connections over as they are.
        $isHeld = $framing === 'php' || ($framing === 'raw' && $stream->header('server') !== '');
        if ($isHeld) {
            $this->add(
                'worker-held',
                Finding::WARNING,
                'the stream holds a PHP worker for as long as it is open',
                'set sse.detach=auto where it is off; phpinfo() in a page says what this SAPI gets, PHP\'s error log why one stream'
                    . ' was not handed over: docs/operations/servers.md',
            );
        } elseif ($framing !== null) {
            $this->add('worker-free', Finding::OK, "the hub has the connection ($framing), the worker is free");
        }
    }

    /** @param list<string> $topics */
    private function deliver(HttpStream $stream, array $topics): void
    {
        $topic = $this->topic ?? TrialTopic::of($topics);
        if ($this->publishes && $topic === null && $topics !== []) {
            $this->add('not-published', Finding::NOTE, 'which topic those patterns match is not known here', 'name one by --topic');
        }
        if (!$this->publishes || $topic === null) {
            return;
        }
        $nonce = bin2hex(random_bytes(8));
        $slowest = 0.0;
        for ($nth = 1; $nth <= self::EVENTS; $nth++) {
            $begun = microtime(true);
            try {
                \sse_publish($topic, "$nonce-$nth", event: self::TYPE, mode: 'ack');
            } catch (SseException $problem) {
                $this->add('not-published', Finding::ERROR, $problem->getMessage(), 'the message says what to do');

                return;
            }
            if (!$stream->await(static fn (): bool => str_contains($stream->body, "data: $nonce-$nth\n"), $this->patience)) {
                $this->heldBack($stream, "event $nth did not arrive within $this->patience s", $topic);

                return;
            }
            $slowest = max($slowest, (microtime(true) - $begun) * 1000);
        }
        $time = number_format($slowest, 1) . ' ms';
        $this->add('delivered', Finding::OK, self::EVENTS . " events published to '$topic' arrived singly, each within $time");
        if ($slowest > self::LATE) {
            $this->add(
                'late',
                Finding::NOTE,
                "the slowest took $time: a busy machine, or a proxy that waits for more before it sends a small piece",
                'HAProxy: option http-no-delay; elsewhere TCP_NODELAY',
            );
        }
    }

    /** Keeps the stream open, to see whether something cuts it, and whether heartbeats come. */
    private function hold(HttpStream $stream): void
    {
        if ($this->hold === 0 || $stream->hasEnded()) {
            return;
        }
        $begun = microtime(true);
        $before = $stream->received;
        $stream->await(static fn (): bool => false, (float) $this->hold);
        $seconds = number_format(microtime(true) - $begun, 1);
        if ($stream->hasEnded()) {
            $this->add(
                'cut',
                Finding::ERROR,
                "the stream ended after another $seconds s, though nobody has asked for it",
                'make every timeout between PHP and browser longer than sse.heartbeat, or that shorter; where a proxy cuts each response'
                    . ' after a fixed time, set sse.max_lifetime below it: docs/operations/behind-a-proxy.md',
            );
        } elseif ($stream->received === $before) {
            $this->add('silent', Finding::NOTE, "no heartbeat came within $seconds s", 'hold it for longer than sse.heartbeat (15 s)');
        } else {
            $this->add('held', Finding::OK, "it stayed open for another $seconds s, with heartbeats");
        }
    }

    /**
     * @param array<string, mixed> $entry
     *
     * @return list<string>
     */
    private static function topicsOf(array $entry): array
    {
        $topics = is_array($entry['topics'] ?? null) ? $entry['topics'] : [];

        return array_values(array_filter($topics, is_string(...)));
    }

    /** Something between the hub and this process holds back what the hub has written: how much, and who? */
    private function heldBack(HttpStream $stream, string $what, ?string $topic): void
    {
        if ($stream->hasEnded()) {
            $this->add('cut', Finding::ERROR, 'the response ended before the event', 'look for a timeout or a limit in between');

            return;
        }
        $before = $stream->received;
        $came = static fn (): bool => $stream->received > $before;
        $most = $this->publishes && $topic !== null ? self::MOST : 0;
        for ($sent = 0; $sent < $most && !$came(); $sent += self::LARGE) {
            try {
                \sse_publish((string) $topic, str_repeat('.', self::LARGE - 64), event: self::TYPE, mode: 'ack');
            } catch (SseException) {
                break;
            }
            $stream->await($came, 0.2);
        }
        $how = match (true) {
            $sent === 0 => '',
            $came() => ', and only after ' . ($sent >> 10) . ' KiB had been published did anything arrive',
            default => ', nor did anything after ' . ($sent >> 10) . ' KiB',
        };
        $this->add(
            'buffered',
            Finding::ERROR,
            "$what$how: something in between collects what the hub writes" . ($came() ? ' (' . Answers::layers($stream) . ')' : ''),
            Answers::unbuffer($stream),
        );
    }

    private function protocol(): void
    {
        $isHttp2 = false;
        if (str_starts_with(strtolower($this->url), 'https:')) {
            try {
                $asked = new HttpStream($this->url, [], $this->patience, $this->trustsAll, true);
                $isHttp2 = $asked->protocol === 'h2';
                $asked->close();
            } catch (RuntimeException) {
                // It was reached before; the note says what is known.
            }
        }
        if (!$isHttp2) {
            $this->add(
                'http1',
                Finding::NOTE,
                'the site speaks HTTP/1.1 only: a browser opens six connections to it over all tabs, and the seventh waits',
                'HTTP/2 in the web server (with TLS), or SSEManager, which shares one stream between all tabs',
            );
        }
    }

    /** The streams that there are now are not asked for again: they are listed by age. */
    private function passBy(): void
    {
        $streams = $this->streams();
        $this->mayAsk = $streams !== null;
        $this->newest = array_key_last($streams ?? []) ?? $this->newest;
    }

    /** @return array<string, array<string, mixed>> The streams that were not there before, oldest first. */
    private function opened(): array
    {
        $end = microtime(true) + $this->patience;
        $opened = $ready = [];
        while ($ready === []) {
            $opened = $this->streams() ?? [];
            $ready = array_filter($opened, static fn (array $entry): bool => ($entry['framing'] ?? null) !== null);
            if ($opened === [] || microtime(true) >= $end) {
                break;
            }
            usleep(10_000);
        }

        return $ready === [] ? $opened : $ready;
    }

    /** @return array<string, array<string, mixed>>|null Null: this process may not ask, or there are too many to ask for. */
    private function streams(?string $topic = null): ?array
    {
        try {
            $this->isOneOfSeveral = Stats::ofHub()->at('bus') !== null;
            $streams = \sse_streams(topic: $topic, after: $this->newest, limit: self::STREAMS);

            return count($streams) === self::STREAMS ? null : $streams;
        } catch (SseUnavailable) {
            return [];
        } catch (SseException) {
            return null;
        }
    }
}
