<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use JsonException;
use Sse\Event;
use Sse\Policy;
use Sse\Topic;
use SseInvalidArgument;
use SseUnavailable;

/**
 * `publish.php`: publishes what a page posts, `{"topic": "chat.general", "data": {…}}` as JSON, or a form with the
 * fields `topic` and `data`; `event`, a type, may be there too. It answers `{"id": "…"}`.
 *
 * A page of another site can make its visitors' browsers post here, with their cookies, and can't be told by the
 * cookies. It is told by where the browser says that the request comes from ({@see Origins}); every browser of the
 * last five years does, and no page can change it. What doesn't say so is no browser, and has no visitor's cookies:
 * with cookies, it is refused. That needs no token in the page and none in the session; a token of your own can be
 * asked for as well ({@see Site::$csrf}).
 */
final class PublishEndpoint
{
    /** Types that the library and the hub use themselves. */
    private const RESERVED = ['gap', 'open', 'error', 'stream', 'replaced'];

    public function __construct(private readonly Site $site)
    {
    }

    public function respond(Request $request): Answer
    {
        return $this->decide($request)->with($this->site->origins->headers($request));
    }

    private function decide(Request $request): Answer
    {
        if ($request->method === 'OPTIONS') {
            return $this->site->origins->preflight($request, 'POST');
        }
        if ($request->method !== 'POST') {
            return Answer::error(405, 'Messages are posted')->with(['Allow' => 'POST']);
        }
        $refused = $request->refusedBody() ?? $request->refusedForm();
        if ($refused !== null) {
            return $refused;
        }
        $trusted = $this->site->origins->trusts($request)
            ?? ($request->cookies === [] && $request->header('Authorization') === '');
        if (!$trusted || !$this->hasToken($request)) {
            return Answer::error(403, 'Messages are posted from the site\'s own pages');
        }
        $message = self::message($request);
        if ($message === null) {
            return Answer::error(400, "A message is JSON with 'topic' and 'data', or a form with these fields");
        }

        return $this->publish(...$message);
    }

    private function publish(string $topic, mixed $data, ?string $event): Answer
    {
        $policy = $this->site->publish ?? Policy::none();
        if (!Topic::isTopic($topic) || !$policy->allows($topic)) {
            return Answer::error(403, 'This topic may not be published to');
        }
        $isName = $event === null || preg_match('/^[\w.:-]{1,64}$/D', $event) === 1;
        $isReserved = in_array($event, self::RESERVED, true) || str_starts_with((string) $event, 'presence.');
        if (!$isName || $isReserved) {
            return Answer::error(422, 'This event type can\'t be used');
        }
        if ($this->site->prepare !== null) {
            $data = ($this->site->prepare)($topic, $data);
            if ($data === null) {
                return Answer::error(422, 'This message was refused');
            }
        }
        try {
            return Answer::json(['id' => $this->site->publisher->publish(new Event($topic, $data, $event))]);
        } catch (SseInvalidArgument | JsonException $problem) {
            return Answer::error(422, $problem->getMessage());
        } catch (SseUnavailable $problem) {
            SparseLog::tell('unpublished', "publish.php: {$problem->getMessage()}");

            return Answer::error(503, 'Messages can\'t be taken at the moment')->with(['Retry-After' => '2']);
        }
    }

    private function hasToken(Request $request): bool
    {
        if ($this->site->csrf === null) {
            return true;
        }
        $token = $request->header('X-CSRF-Token');
        if ($token === '') {
            $token = $request->form['csrf_token'] ?? '';
        }

        return is_string($token) && $token !== '' && ($this->site->csrf)($token) === true;
    }

    /** @return array{string, mixed, ?string}|null topic, data, type */
    private static function message(Request $request): ?array
    {
        $fields = $request->form;
        if (preg_match('~^application/json\b~i', $request->header('Content-Type')) === 1) {
            $fields = json_decode($request->body, true, 64);
        }
        $topic = $fields['topic'] ?? null;
        $event = $fields['event'] ?? null;
        if (!is_array($fields) || !is_string($topic) || !isset($fields['data'])) {
            return null;
        }
        if ($event !== null && !is_string($event)) {
            return null;
        }

        return [$topic, $fields['data'], $event === '' ? null : $event];
    }
}
