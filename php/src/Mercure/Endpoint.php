<?php

declare(strict_types=1);

namespace Sse\Mercure;

use InvalidArgumentException;
use LogicException;
use Sse\Endpoint\Answer;
use Sse\Endpoint\Origins;
use Sse\Endpoint\Request;
use Sse\Endpoint\SiteFile;
use Sse\Endpoint\SparseLog;
use Sse\Polyfill;
use Sse\Rules;
use Sse\Stream;
use SseInvalidArgument;
use SseUnavailable;
use Throwable;

/**
 * `/.well-known/mercure`: Mercure's protocol, for browsers and other clients.
 *
 * ```php
 * <?php // sse-mercure.php, in the folder above the document root
 * use Sse\Mercure\Endpoint;
 * use Sse\Mercure\Key;
 *
 * return new Endpoint(new Key(getenv('MERCURE_JWT_SECRET')), anonymous: true);
 * ```
 *
 * In version 0.x, `GET ?topic=SELECTOR&topic=…` is a stream of the updates that a selector matches; private ones need a right, which
 * a token has. `POST` publishes. A token is in the header `Authorization: Bearer`, the parameter `authorization`, or a cookie,
 * which a POST may have from pages of the site and of the named origins only. `GET` below it, at `/subscriptions`, lists the
 * active subscriptions. {@see Standard} is version 1.0.
 */
final class Endpoint
{
    private readonly Keys $subscriberKey;
    private readonly Credentials $credentials;
    private readonly string $cookie;
    private readonly Origins $corsOrigins;

    /**
     * @param Keys         $publisherKey   Signs the tokens of publishers: a {@see Key}, or a {@see KeySet}.
     * @param Keys|null    $subscriberKey  Signs those of subscribers; null: the same.
     * @param bool         $anonymous      Whether clients without a token may subscribe, to public updates.
     * @param list<string> $publishOrigins Other origins whose pages may publish by the cookie: `https://app.example.com`.
     * @param list<string> $corsOrigins    Other origins whose pages may read what the endpoint answers, with cookies.
     * @param string|null  $cookie         The cookie that has the token; null: as the version recommends.
     * @param bool         $subscriptions  Whether subscriptions are told of by private updates, and listed for who has a right.
     * @param Protocol     $version        `new Draft()` for 0.x, or a {@see Standard} for 1.0.
     *
     * @throws InvalidArgumentException An origin is none.
     */
    public function __construct(
        private readonly Keys $publisherKey,
        ?Keys $subscriberKey = null,
        private readonly bool $anonymous = false,
        array $publishOrigins = [],
        array $corsOrigins = [],
        ?string $cookie = null,
        private readonly bool $subscriptions = false,
        private readonly Protocol $version = new Draft(),
    ) {
        $this->subscriberKey = $subscriberKey ?? $publisherKey;
        $this->cookie = $cookie ?? $version->cookie();
        $this->credentials = new Credentials($version, $this->cookie, new Origins($publishOrigins));
        $this->corsOrigins = new Origins($corsOrigins);
    }

    /**
     * By the environment's variables, as those of Mercure's hub and Symfony's recipe: `MERCURE_PUBLISHER_JWT_KEY` and
     * `MERCURE_PUBLISHER_JWT_ALG`, or `MERCURE_PUBLISHER_JWKS_URL`, the same with `SUBSCRIBER`, or for all
     * `MERCURE_JWT_SECRET`; `MERCURE_ANONYMOUS=1`, `MERCURE_SUBSCRIPTIONS=1`; `MERCURE_PUBLISH_ORIGINS` and
     * `MERCURE_CORS_ORIGINS`, with spaces between origins; for version 1.0 `MERCURE_RESOURCE`, the endpoint's own URL, and
     * `MERCURE_ISSUER`.
     *
     * @throws LogicException           There is no key.
     * @throws InvalidArgumentException A value is not valid.
     */
    public static function fromEnvironment(): self
    {
        $value = static function (string $name): string {
            $value = $_SERVER[$name] ?? $_ENV[$name] ?? getenv($name);

            return is_string($value) ? $value : '';
        };
        $key = static function (string $whose) use ($value): ?Keys {
            $key = $value("MERCURE_{$whose}_JWT_KEY");
            $url = $value("MERCURE_{$whose}_JWKS_URL");
            if ($url !== '') {
                return new KeySet($url);
            }

            return $key === '' ? null : new Key($key, $value("MERCURE_{$whose}_JWT_ALG") ?: 'HS256');
        };
        $common = $value('MERCURE_JWT_SECRET');
        $publisher = $key('PUBLISHER') ?? ($common === '' ? null : new Key($common));
        $list = static fn (string $name): array => preg_split('/\s+/', $value($name), -1, PREG_SPLIT_NO_EMPTY) ?: [];

        $resource = $value('MERCURE_RESOURCE');

        return new self(
            $publisher ?? throw new LogicException(
                'there is no key: set MERCURE_JWT_SECRET, or return an Sse\Mercure\Endpoint from sse-mercure.php in the '
                . 'folder above the document root; ' . Key::CLEARED,
            ),
            $key('SUBSCRIBER') ?? ($common === '' ? null : new Key($common)),
            $value('MERCURE_ANONYMOUS') === '1',
            $list('MERCURE_PUBLISH_ORIGINS'),
            $list('MERCURE_CORS_ORIGINS'),
            subscriptions: $value('MERCURE_SUBSCRIPTIONS') === '1',
            version: $resource === '' ? new Draft() : new Standard($resource, $value('MERCURE_ISSUER')),
        );
    }

    /**
     * The site's own: what the file returns that the server names as `SSE_MERCURE`, or `sse-mercure.php` in the folder
     * above the document root; without such a file, {@see fromEnvironment()}. What the file outputs is not sent.
     *
     * @throws LogicException           The file returns something else, or there is no key.
     * @throws InvalidArgumentException A value is not valid.
     */
    public static function load(): self
    {
        $named = (string) ($_SERVER['SSE_MERCURE'] ?? '');
        $file = $named === '' ? dirname((string) ($_SERVER['DOCUMENT_ROOT'] ?? '')) . '/sse-mercure.php' : $named;
        if ($named === '' && !is_file($file)) {
            return self::fromEnvironment();
        }

        return SiteFile::load($file, self::class);
    }

    /** Answers the request that PHP runs for; null: by {@see load()}. Without the extension the answer is 501. */
    public static function run(?self $endpoint = null): void
    {
        if (Polyfill::isActive()) {
            $problem = 'Mercure needs the extension sse: its polyfill has no updates of Mercure';
            SparseLog::tell('polyfill', $problem);
            Text::answer(501, $problem)->send();

            return;
        }
        try {
            $endpoint ??= self::load();
            $query = (string) ($_SERVER['QUERY_STRING'] ?? '');
            $url = (string) ($_SERVER['REQUEST_URI'] ?? '');
            $answer = $endpoint->respond(Request::current(), $query, substr($url, 0, strcspn($url, '?#')));
            if ($answer instanceof Answer) {
                $answer->send();
            } else {
                $answer->open();
            }
        } catch (SseInvalidArgument $problem) {
            Text::answer(400, $problem->getMessage())->send();
        } catch (Throwable $problem) {
            Answer::problem($problem, Text::answer(...))->send();
        }
    }

    /**
     * The answer to a request, or the stream that it asks for.
     *
     * @param string $query The query as it is in the URL.
     * @param string $path  The path as it is there.
     *
     * @throws SseInvalidArgument The update breaks a rule.
     * @throws SseUnavailable     The hub did not take it in time.
     */
    public function respond(Request $request, string $query, string $path = ''): Answer|Stream
    {
        $headers = $this->corsOrigins->headers($request);
        $query = Fields::of($query);
        $subscriptions = Subscriptions::of($path);
        $answer = match (true) {
            Standard::isMetadata($path) => $this->version->metadata($this->subscriptions, $this->cookie),
            $subscriptions !== null => $this->list($subscriptions, $request, $query),
            default => match ($request->method) {
                'OPTIONS' => $this->corsOrigins->preflight($request, 'GET, HEAD, POST'),
                'POST' => $this->publish($request, $query),
                'GET', 'HEAD' => $this->subscribe($request, $query, $headers),
                default => Text::answer(405, 'Updates are posted, and subscribed to by GET')->with(['Allow' => 'GET, HEAD, POST']),
            },
        };

        return $answer instanceof Answer ? $answer->with($headers) : $answer;
    }

    private function publish(Request $request, Fields $query): Answer
    {
        $claims = $this->credentials->of($request, $query, $this->publisherKey);
        if (!$claims instanceof Claims) {
            return $this->version->deny($claims ?? Denial::NoToken, 'Publishing needs a token that says so');
        }
        if ($claims->publish === []) {
            return $this->version->deny(Denial::InsufficientScope, 'Publishing needs a token that says so');
        }
        $refused = $request->refusedBody();
        if ($refused !== null) {
            return Text::answer($refused->status, 'The body is too long');
        }
        $form = Fields::of($request->body);
        $topics = $form->all('topic');
        if ($topics === []) {
            return Text::answer(400, 'Missing "topic" parameter');
        }
        $retry = $form->first('retry');
        if ($retry !== '' && preg_match('/^\d{1,15}$/D', $retry) !== 1) {
            return Text::answer(400, 'Invalid "retry" parameter');
        }
        $invalid = $this->version->refuseUpdate($form);
        if ($invalid !== null && $invalid->status !== 403) {
            return $invalid;
        }
        if (!$claims->mayPublish(...$topics)) {
            return $this->version->deny(Denial::InsufficientScope, 'The token does not allow all of these topics');
        }
        if ($invalid !== null) {
            return $invalid;
        }

        return Text::answer(200, (new Publisher('ack'))->publish(
            $topics,
            $form->first('data'),
            $form->has('private'),
            $form->first('id'),
            $form->first('type'),
            $retry === '' ? null : (int) $retry,
        ));
    }

    /** @param array<string, string> $headers */
    private function subscribe(Request $request, Fields $query, array $headers): Answer|Stream
    {
        $claims = $this->credentials->of($request, $query, $this->subscriberKey);
        if ($claims instanceof Denial || ($claims === null && !$this->anonymous)) {
            return $this->version->deny($claims ?? Denial::NoToken, 'Subscribing needs a valid token');
        }
        $matchers = $this->version->matchers($query);
        if ($matchers instanceof Answer) {
            return $matchers;
        }
        $patterns = array_values(array_unique([
            ...array_map(static fn (Matcher $matcher): string => $matcher->subscription(), $matchers),
            ...array_map(static fn (Matcher $matcher): string => $matcher->right(), $claims->subscribe ?? []),
        ]));
        $options = ['headers' => $headers];
        $lastEventId = $request->header('Last-Event-ID') ?: $query->first($this->version->lastEventIdParameter());
        if ($lastEventId !== '') {
            $header = $this->version->lastEventIdHeader();
            $options += ['last_event_id' => $lastEventId, 'last_event_id_header' => $header];
            if (isset($headers['Access-Control-Allow-Origin'])) {
                $options['headers']['Access-Control-Expose-Headers'] = $header;
            }
        }
        // Too many patterns are refused, so their payloads, which take a comparison for each two, are not looked for.
        if ($this->subscriptions && $request->method === 'GET' && count($patterns) <= Rules::mostTopics()) {
            $options['presence'] = ['id' => Urn::random(), 'info' => $this->subscriberInfo($matchers, $claims)];
        }
        $lifetime = $this->lifetime($claims);
        if ($lifetime !== null) {
            $options['max_lifetime'] = $lifetime;
        }

        return new Stream($patterns, null, ...$options);
    }

    /** @param list<Matcher> $matchers */
    private function subscriberInfo(array $matchers, ?Claims $claims): mixed
    {
        $payloads = [];
        foreach ($matchers as $matcher) {
            $payloads[$matcher->subscription()] = $claims?->payload($matcher);
        }

        return $this->version->subscriberInfo($payloads);
    }

    private function list(Subscriptions $subscriptions, Request $request, Fields $query): Answer
    {
        if ($request->method === 'OPTIONS') {
            return $this->corsOrigins->preflight($request, 'GET, HEAD');
        }
        if (!in_array($request->method, ['GET', 'HEAD'], true)) {
            return Text::answer(405, 'Subscriptions are read by GET')->with(['Allow' => 'GET, HEAD']);
        }
        if (!$this->subscriptions) {
            return Text::answer(404, 'This endpoint tells nothing of subscriptions');
        }
        $claims = $this->credentials->of($request, $query, $this->subscriberKey);
        if (!$claims instanceof Claims || !$claims->mayRead($subscriptions->topic())) {
            $why = $claims instanceof Claims ? Denial::InsufficientScope : $claims ?? Denial::NoToken;

            return $this->version->deny($why, 'Reading this needs a token that says so');
        }

        return $subscriptions->answer($query, $this->version);
    }

    /** "the connection MUST be closed by the hub at that time": in seconds, and no later than the site says. */
    private function lifetime(?Claims $claims): ?int
    {
        $expires = $claims?->expires;
        if ($expires === null) {
            return null;
        }
        $site = (int) ini_get('sse.max_lifetime');
        $left = max(1, min($expires - time(), 86_400));

        return $site === 0 ? $left : min($site, $left);
    }
}
