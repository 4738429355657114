<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use Sse\Grant;
use Sse\Policy;
use Sse\Stream;
use Sse\Topic;

/**
 * `stream.php`: a stream of the topics that the client asks for, `?topics=news,chat.general`, if it may watch all of
 * them. `topicsAs=field` or `envelope` tells it which topic each event belongs to, as SSEManager asks for.
 *
 * With {@see Site::$grantKey}, a grant allows its topics too. It is taken from the header `Authorization: Bearer`; or
 * from a cookie, for EventSource, which can't send headers: a POST with that header sets the cookie first.
 */
final class StreamEndpoint
{
    private const COOKIE = 'sse_grant';

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
        $takesGrants = $this->site->grantKey !== null;
        if (!in_array($request->method, ['GET', 'HEAD', ...($takesGrants ? ['POST'] : [])], true)) {
            return Answer::error(405, 'A stream is asked for by GET')->with(['Allow' => 'GET, HEAD']);
        }
        // A page of another site can't read the stream, but would hold it open with its visitor's cookies.
        if ($this->site->origins->trusts($request) === false) {
            return Answer::error(403, 'This origin may not watch');
        }

        return $request->method === 'POST' ? $this->setCookie($request) : $this->stream($request);
    }

    private function stream(Request $request): Answer|Stream
    {
        $topics = self::topics($request);
        if ($topics === []) {
            return Answer::error(400, "Which topics? Name them: 'topics=news,chat.general'");
        }
        // Counted first: a policy may ask a database for each.
        $most = (int) (ini_get('sse.max_topics') ?: 100);
        if (count($topics) > $most) {
            return Answer::error(400, sprintf('%d topics are too many; at most %d are allowed', count($topics), $most));
        }
        $policy = $this->site->watch->or($this->granted($request));
        foreach ($topics as $topic) {
            if (!Topic::isPattern($topic)) {
                return Answer::error(400, "'$topic' is not a topic or a pattern of topics");
            }
            if (!$policy->allows($topic)) {
                return Answer::error(403, "'$topic' may not be watched");
            }
        }

        $headers = $this->site->origins->headers($request);

        // How the client wants to be told the topics of events: SSEManager reads many topics by one stream.
        $topicsAs = $request->query['topicsAs'] ?? null;
        $topicsAs = in_array($topicsAs, ['field', 'envelope'], true) ? $topicsAs : null;

        return new Stream($topics, null, headers: $headers, reauthorize: $this->seconds(), topics_as: $topicsAs);
    }

    /** @return list<string> */
    private static function topics(Request $request): array
    {
        $asked = $request->query['topics'] ?? '';
        $asked = is_array($asked) ? array_filter($asked, 'is_string') : explode(',', (string) $asked);

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
