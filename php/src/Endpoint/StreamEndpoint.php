<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use Sse\Grant;
use Sse\Policy;
use Sse\Rules;
use Sse\Stream;
use Sse\Topic;
use SseException;
use SseInvalidArgument;
use SseUnavailable;

/**
 * `stream.php`: a stream of the topics that the client asks for, `?topics=news,chat.general`, if it may watch all of
 * them. `topicsAs=field` or `envelope` tells it which topic each event belongs to, and the stream's public id, as SSEManager
 * asks for; `retained=1` gives it the last values of its topics first. Mercure's topics, `$mercure.…`, are refused, whatever the
 * policy says: {@see \Sse\Mercure\Endpoint} gives them to whom a token allows.
 *
 * A POST of a form with the fields `stream`, the public id, `add` and `remove`, topics with commas, changes what that stream
 * watches, if it is this client's and the client may watch what is added; it answers `{"cursor": "…"}`, see sse_retopic(). With
 * 409 the client has to open another stream.
 *
 * A POST with `longPoll=1` in the URL is a stream too, which ends after its first events, see sse_stream().
 *
 * With {@see Site::$grantKey}, a grant allows its topics too. It is taken from the header `Authorization: Bearer`; or
 * from a cookie, for EventSource, which can't send headers: a POST with that header sets the cookie first.
 */
final class StreamEndpoint
{
    private const COOKIE = 'sse_grant';
    private const MERCURE = '$mercure.';
    /** Bytes of a topic that can have members: `$presence.` and the topic are a topic, too. */
    private const LONGEST_WITH_MEMBERS = 245;

    private ?Grant $grant = null;

    public function __construct(private readonly Site $site)
    {
    }

    public function respond(Request $request): Answer|Stream
    {
        $answer = $this->decide($request);

        return $answer instanceof Answer ? $answer->with($this->site->origins->headers($request)) : $answer;
    }

    private function decide(Request $request): Answer|Stream
    {
        if ($request->method === 'OPTIONS') {
            return $this->site->origins->preflight($request, 'GET, POST');
        }
        $steers = $request->method === 'POST' && isset($request->form['stream']);
        // SSEManager's, where a proxy holds back the response to a GET until it ends.
        $polls = !$steers && $request->method === 'POST' && $request->text('longPoll') === '1';
        $takesPost = $steers || $polls || $this->site->grantKey !== null;
        if (!in_array($request->method, ['GET', 'HEAD', ...($takesPost ? ['POST'] : [])], true)) {
            return Answer::error(405, 'A stream is asked for by GET')->with(['Allow' => 'GET, HEAD']);
        }
        // A page of another site can't read the stream, but would hold it open with its visitor's cookies.
        if ($this->site->origins->trusts($request) === false) {
            return Answer::error(403, 'This origin may not watch');
        }

        if ($request->method === 'POST' && !$polls) {
            return $request->refusedBody() ?? $request->refusedForm()
                ?? ($steers ? $this->steer($request) : $this->setCookie($request));
        }

        return $this->stream($request);
    }

    private function stream(Request $request): Answer|Stream
    {
        $topics = self::topics($request->query['topics'] ?? '');
        if ($topics === []) {
            return Answer::error(400, "Which topics? Name them: 'topics=news,chat.general'");
        }
        $policy = $this->site->watch->or($this->granted($request));
        // A stream that asks again may watch others meanwhile; what it names to sse_stream() stays the same.
        $refused = self::check($topics, $policy) ?? self::check($request->watched, $policy);
        if ($refused !== null) {
            return $refused;
        }

        if ($this->site->presence !== null) {
            foreach ($topics as $topic) {
                if (strlen($topic) > self::LONGEST_WITH_MEMBERS && $topic[0] !== '$' && Topic::isTopic($topic)) {
                    return Answer::error(400, 'A topic with presence has ' . self::LONGEST_WITH_MEMBERS . ' bytes at most');
                }
            }
        }

        $headers = $this->site->origins->headers($request);

        // How the client wants to be told the topics of events: SSEManager reads many topics by one stream.
        $topicsAs = $request->query['topicsAs'] ?? null;
        $topicsAs = in_array($topicsAs, ['field', 'envelope'], true) ? $topicsAs : null;

        $options = ['headers' => $headers, 'reauthorize' => $this->seconds(), 'topics_as' => $topicsAs];
        $options['retained'] = $request->text('retained') === '1';
        // Such a client knows what to do with it.
        $options['stream_id'] = $topicsAs !== null;
        // Nobody else may change its topics.
        if ($this->user() !== null) {
            $options['user'] = $this->user();
        }
        if ($this->site->presence !== null) {
            $options += ['presence' => $this->site->presence, 'presence_events' => true];
        }

        return new Stream($topics, null, ...$options);
    }

    /** Changes what an open stream watches. */
    private function steer(Request $request): Answer
    {
        $stream = $request->form['stream'];
        $add = self::topics($request->form['add'] ?? '');
        $remove = self::topics($request->form['remove'] ?? '');
        $policy = $this->site->watch;
        $refused = self::check($add, $policy->or($this->granted($request)));
        if ($refused !== null) {
            return $refused;
        }
        foreach ($add as $topic) {
            if (!$policy->allows($topic)) {
                return Answer::error(409, "A grant allows '$topic', and no longer than it lasts: that takes a new stream");
            }
        }
        try {
            $cursor = is_string($stream) ? sse_retopic($stream, $add, $remove, $this->user()) : null;
        } catch (SseInvalidArgument $problem) {
            return Answer::error(400, $problem->getMessage());
        } catch (SseUnavailable $problem) {
            throw $problem;
        } catch (SseException $problem) {
            // The polyfill can't, nor can a process of another user than the hub's.
            error_log("stream.php: {$problem->getMessage()}");

            return Answer::error(501, 'The topics of an open stream can\'t be changed here');
        }

        return $cursor === null
            ? Answer::error(409, 'No such stream is open here')
            : Answer::json(['cursor' => $cursor]);
    }

    /** Whose the client's streams are; null: nobody's. */
    private function user(): ?string
    {
        return $this->site->user === '' ? null : $this->site->user;
    }

    /**
     * Why these may not be watched; null: they may.
     *
     * @param list<string> $topics
     */
    private static function check(array $topics, Policy $policy): ?Answer
    {
        // Counted first: a policy may ask a database for each.
        $most = Rules::mostTopics();
        if (count($topics) > $most) {
            return Answer::error(400, sprintf('%d topics are too many; at most %d are allowed', count($topics), $most));
        }
        foreach ($topics as $topic) {
            if (!Topic::isPattern($topic)) {
                return Answer::error(400, "'$topic' is not a topic or a pattern of topics");
            }
            // These are rights to private updates, too, which Mercure's clients need a token for.
            if (str_starts_with($topic, self::MERCURE) || !$policy->allows($topic)) {
                return Answer::error(403, "'$topic' may not be watched");
            }
        }

        return null;
    }

    /** @return list<string> */
    private static function topics(mixed $asked): array
    {
        $asked = is_array($asked) ? array_filter($asked, 'is_string') : explode(',', is_string($asked) ? $asked : '');

        return array_values(array_unique(array_filter($asked, static fn (string $topic): bool => $topic !== '')));
    }

    private function granted(Request $request): Policy
    {
        if ($this->site->grantKey === null) {
            return Policy::none();
        }
        $cookie = $request->cookies[self::COOKIE] ?? null;
        $tokens = [$request->bearer(), is_string($cookie) ? $cookie : null];
        if ($this->site->grantInUrl) {
            $tokens[] = $request->text('grant');
        }
        foreach (array_filter($tokens) as $token) {
            $this->grant = Grant::verify($token, $this->site->grantKey, $this->site->user);
            if ($this->grant !== null) {
                return $this->grant->policy();
            }
        }

        return Policy::none();
    }

    /** When to ask again: also when the grant expires. */
    private function seconds(): int
    {
        $seconds = $this->site->reauthorize;
        if ($this->grant === null) {
            return $seconds;
        }
        $left = max(1, $this->grant->expires - time() + 1);

        return $seconds === 0 ? $left : min($seconds, $left);
    }

    private function setCookie(Request $request): Answer
    {
        $token = $request->bearer();
        $grant = $token === null || $this->site->grantKey === null
            ? null
            : Grant::verify($token, $this->site->grantKey, $this->site->user);
        if ($grant === null) {
            return Answer::error(403, 'There is no valid grant in the header Authorization: Bearer …');
        }
        // Pages of another site send it only with SameSite=None, which needs HTTPS.
        $site = $request->secure ? 'Secure; SameSite=None; Partitioned' : 'SameSite=Lax';
        $age = $grant->expires - time();

        return new Answer(204, '', ['Set-Cookie' => self::COOKIE . "=$token; Max-Age=$age; HttpOnly; $site"]);
    }
}
