<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use Sse\Endpoint\Dashboard\Figures;
use Sse\Endpoint\Dashboard\Json;
use Sse\Endpoint\Dashboard\Page;
use Sse\Endpoint\Dashboard\Streams;
use Sse\Endpoint\Dashboard\TopicView;
use Sse\Policy;
use Sse\Stats;
use Sse\Stream;
use SseEnd;
use SseException;
use SseInvalidArgument;
use SseUnavailable;

/**
 * `dashboard.php`: a page for administrators that shows what the hub does, as it happens, and finds, follows and disconnects
 * streams. It is for nobody unless {@see Site::$dashboard} allows it:
 *
 * ```php
 * return new Site(
 *     watch: …,
 *     dashboard: $isAdmin ? Policy::patterns('view', 'disconnect') : Policy::none(),
 * );
 * ```
 *
 * | right | allows |
 * |---|---|
 * | `view` | to see the page: figures, topics, scripts, users, addresses, who is present, the end of the hub's log |
 * | `disconnect` | to end streams; their clients come back, unless their scripts then refuse them |
 * | `events` | to see the events that a stream gets, with their data |
 *
 * The page needs no other file and nothing from other hosts. Its figures come by a stream of its own, which costs one render
 * every two seconds for all who look. The hub answers only processes of its own user.
 */
final class Dashboard
{
    /** Nothing is published there: the dashboard's streams are rendered by time. */
    private const TOPIC = 'sse.dashboard';
    /** Seconds between figures, and between looks at a stream that is followed. */
    private const PERIOD = 2;
    private const FOLLOW_PERIOD = 1;

    public function __construct(private readonly Site $site)
    {
    }

    public function respond(Request $request): Answer|Stream
    {
        if (!in_array($request->method, ['GET', 'HEAD', 'POST'], true)) {
            return Answer::error(405, 'The dashboard is read by GET')->with(['Allow' => 'GET, HEAD, POST']);
        }
        $part = $request->text('data');
        // A link on another site's page may lead here; but only the page itself asks for the rest. Pages of Site::$origins are others.
        $isOwn = (new Origins())->trusts($request);
        if ($isOwn === false && ($part !== null || $request->method === 'POST')) {
            return Answer::error(403, 'Only the dashboard\'s own page may ask for this');
        }
        if (!$this->may('view')) {
            return Answer::error(403, 'The dashboard is for administrators. To allow it, return '
                . "new Site(…, dashboard: Policy::patterns('view', 'disconnect')) to them, and to nobody else, in sse-site.php");
        }
        if (!extension_loaded('sse')) {
            return Answer::error(501, 'The dashboard needs PHP\'s extension sse: the polyfill has no hub to look at');
        }
        try {
            return $request->method === 'POST' ? $this->disconnect($request, $isOwn) : $this->show($part, $request);
        } catch (SseInvalidArgument $problem) {
            return Answer::error(400, $problem->getMessage());
        } catch (SseUnavailable $problem) {
            error_log("dashboard.php: {$problem->getMessage()}");

            // Whoever sees this may see the log.
            return Answer::error(503, $problem->getMessage())->with(['Retry-After' => '2']);
        } catch (SseException $problem) {
            error_log("dashboard.php: {$problem->getMessage()}");

            return Answer::error(501, "The hub does not answer this process: {$problem->getMessage()}");
        }
    }

    private function may(string $right): bool
    {
        return ($this->site->dashboard ?? Policy::none())->allows($right);
    }

    private function show(?string $part, Request $request): Answer|Stream
    {
        $after = $request->text('after');

        return match ($part) {
            null => $this->page(),
            'figures' => $this->stream(Figures::now(...), 'figures', self::PERIOD),
            'streams' => self::json(
                Streams::find((string) $request->text('by'), (string) $request->text('what'), $after === '' ? null : $after),
            ),
            'topic' => self::json(TopicView::of((string) $request->text('topic'), $after)),
            'follow' => $this->follow((string) $request->text('stream')),
            'events' => $this->events((string) $request->text('stream')),
            default => Answer::error(404, "There is no data '$part'"),
        };
    }

    private function page(): Answer
    {
        // A hub that does not answer is told here, rather than by a page that stays empty.
        Stats::ofHub(start: true);

        return Page::answer(array_values(array_filter(['disconnect', 'events'], $this->may(...))));
    }

    private function follow(string $stream): Stream
    {
        $render = static fn (): string|SseEnd => Streams::one($stream) ?? new SseEnd('{}', 'gone');

        return $this->stream($render, "follow-$stream", self::FOLLOW_PERIOD);
    }

    /** The events of all that a stream watches, as they are published. */
    private function events(string $stream): Answer|Stream
    {
        if (!$this->may('events')) {
            return Answer::error(403, "The data of events is for who has the right 'events' in Site's dashboard");
        }
        $topics = Streams::topics($stream);
        if ($topics === []) {
            return Answer::error(404, 'No such stream is open on this machine, or it watches only topics of the hub\'s own');
        }

        return new Stream($topics, null, topics_as: 'envelope', reauthorize: max(1, $this->site->reauthorize));
    }

    /** @param callable(): (string|SseEnd) $render */
    private function stream(callable $render, string $share, float $seconds): Stream
    {
        // All who get this have the same right, and each render asks one of them for it in turn.
        return new Stream(self::TOPIC, $render, event: 'data', poll: $seconds, share: $share, retry: 2000);
    }

    /** Ends the stream that the form names. */
    private function disconnect(Request $request, ?bool $isOwn): Answer
    {
        $refused = $request->refusedBody() ?? $request->refusedForm();
        if ($refused !== null) {
            return $refused;
        }
        // What is no browser says nothing of where it comes from, and has no cookies that another page could make it send.
        if ($isOwn === null && ($request->cookies !== [] || $request->header('Authorization') !== '')) {
            return Answer::error(403, 'Only the dashboard\'s own page may ask for this');
        }
        if (!$this->may('disconnect')) {
            return Answer::error(403, "Streams are ended by who has the right 'disconnect' in Site's dashboard");
        }
        $stream = $request->form['stream'] ?? null;
        if (!is_string($stream) || $stream === '') {
            return Answer::error(400, "Which stream? The form's field 'stream' is its id");
        }
        $ended = \sse_disconnect(stream: $stream);
        $who = Json::of([$this->site->user ?? $_SERVER['REMOTE_ADDR'] ?? null, $stream]);
        error_log("dashboard.php: [who, the stream that they disconnect]: $who; ended: $ended");

        return Answer::json(['ended' => $ended]);
    }

    private static function json(string $json): Answer
    {
        return new Answer(200, $json, ['Content-Type' => 'application/json; charset=utf-8']);
    }
}
