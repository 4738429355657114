<?php

declare(strict_types=1);

namespace Sse\Laravel;

use Illuminate\Contracts\Auth\Authenticatable;
use Illuminate\Contracts\Broadcasting\Factory;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use Illuminate\Routing\Controller;
use Sse\Event;
use Sse\PublisherInterface;
use Sse\Rules;
use Sse\Stream;
use Sse\Symfony\StreamResponse;
use SseException;
use SseInvalidArgument;
use SseUnavailable;
use Symfony\Component\HttpKernel\Exception\AccessDeniedHttpException;
use Symfony\Component\HttpKernel\Exception\HttpException;
use Symfony\Component\HttpKernel\Exception\NotFoundHttpException;

/**
 * The routes of a browser's client: its one stream, what channels it may have, who is on one, and whispers.
 *
 * Channels are named by the parameters `channels[]`, or by SSEManager's `topics`, which are the topics that the route
 * `channels` tells.
 */
final class SseController extends Controller
{
    /** Bytes of the header that names refused channels: web servers take some thousand for all headers. */
    private const LONGEST_HEADER = 1024;
    /** Stands for further ones there; no encoded name is that. */
    private const MORE = '*';
    /** Bytes of a whisper's type, as with Pusher. */
    private const LONGEST_TYPE = 200;
    private const MEMBERS = 1000;
    /** Bytes of a member's id. */
    private const LONGEST_ID = 255;

    public function __construct(
        private readonly Factory $broadcasting,
        private readonly PublisherInterface $publisher,
        private readonly Settings $settings,
    ) {
    }

    /**
     * @internal Laravel calls the method of each route by this one.
     *
     * @param string                  $method
     * @param array<array-key, mixed> $parameters
     */
    public function callAction($method, $parameters): mixed
    {
        return self::answered(fn (): mixed => parent::callAction($method, $parameters));
    }

    /**
     * @template Result
     *
     * @param callable(): Result $do
     *
     * @return Result
     *
     * @throws HttpException It can't be done now, or not here.
     */
    private static function answered(callable $do): mixed
    {
        try {
            return $do();
        } catch (SseUnavailable $problem) {
            // A client sees an HttpException's message, and this one has paths of the machine in it. Laravel itself logs no such exception.
            \report($problem);

            throw new HttpException(503, 'Not available at the moment', $problem, ['Retry-After' => '1']);
        } catch (SseInvalidArgument $problem) {
            throw $problem;
        } catch (SseException $problem) {
            \report($problem);

            // What can't be done here, and so not later either: the extension is missing, or the hub is another user's.
            throw new HttpException(501, "This needs the extension sse and a hub of the site's own user", $problem);
        }
    }

    /**
     * One stream of all channels that the client may have. The header `Sse-Refused` names those that it may not, encoded as in
     * topics and joined by commas, and a `*` stands for those for which there is no room; where it may have none, the answer is
     * 403 with a list in JSON.
     */
    public function stream(Request $request): StreamResponse|JsonResponse
    {
        self::leaveSession($request);
        $broadcaster = $this->broadcaster();
        $channels = $this->asked($request, $broadcaster->topics);
        $found = new StreamChannels($broadcaster, $request, $channels);
        if ($found->allowed === []) {
            return self::answer($found->json($broadcaster->topics), 403);
        }
        $watched = \sse_render()['topics'] ?? null;
        $answer = $watched === null ? null : $this->changed($request, $broadcaster, $found, $watched);

        if ($answer !== null) {
            return $answer;
        }
        $options = $this->options($request, $found, $broadcaster->topics);
        $stream = new Stream($found->patterns($broadcaster->topics), null, ...$options);
        $response = new StreamResponse($stream);
        $response->setCallback(static function () use ($stream): void {
            self::answered(static fn (): bool => $stream->open());
        });

        return $response;
    }

    /**
     * Why a stream that is asked about again has to begin anew: it may have more or fewer channels than before. Null: it goes on.
     *
     * The hub keeps what has been added to it and removed only where its script names the same patterns as at first.
     *
     * @param list<string> $watched What it watches now.
     */
    private function changed(Request $request, SseBroadcaster $broadcaster, StreamChannels $found, array $watched): ?JsonResponse
    {
        $topics = $broadcaster->topics;
        $refused = array_map(static fn (array $one): string => $topics->refused($one['channel']), $found->refused);
        if (array_diff($refused, $watched) !== [] || array_diff(array_filter($watched, $topics->isRefused(...)), $refused) !== []) {
            return self::answer($found->json($topics), 403);
        }
        $allowed = array_column($found->allowed, 'channel');
        $added = array_values(array_diff(array_filter(array_map($topics->channel(...), $watched), is_string(...)), $allowed));
        // Each costs a query, once in every question. With its channels of now, the client's next request may ask for fewer.
        $count = count($allowed) + count($found->refused) + count($added);
        $most = $this->settings->maxChannels;
        if ($count > $most) {
            return self::answer(['message' => "$count channels to ask about; at most $most are allowed"], 403);
        }
        $since = new StreamChannels($broadcaster, $request, $added);

        return $since->refused === [] ? null : self::answer($since->json($topics), 403);
    }

    /**
     * Changes what the client's open stream watches: `stream` is its id, `add` and `remove` are topics of channels, joined by commas.
     * With 409 the client has to open another stream.
     */
    public function topics(Request $request): JsonResponse
    {
        self::leaveSession($request);
        $broadcaster = $this->broadcaster();
        $topics = $broadcaster->topics;
        $user = $this->streamUser($request, $topics);
        $add = $this->named($request, 'add', $topics);
        $remove = $this->named($request, 'remove', $topics);
        $found = new StreamChannels($broadcaster, $request, $add);
        if ($found->refused !== []) {
            return self::answer($found->json($topics), 403);
        }
        // The stream's member is told when it begins. And without a user, whoever knows its id could change it.
        if ($user === null || $found->member !== null) {
            return self::answer(['message' => 'that takes a new stream'], 409);
        }
        $stream = self::text($request, 'stream');
        [$add, $remove] = [array_map($topics->pattern(...), $add), array_map($topics->pattern(...), $remove)];
        $most = $this->settings->maxChannels;
        $count = $add === [] ? 0 : $this->countAfter($stream, $user, $add, $remove);
        if ($count > $most) {
            return self::answer(['message' => "the stream would have $count channels; at most $most are allowed"], 422);
        }
        try {
            $cursor = \sse_retopic($stream, $add, $remove, $user);
        } catch (SseInvalidArgument $problem) {
            return self::answer(['message' => $problem->getMessage()], 409);
        }

        return $cursor === null
            ? self::answer(['message' => 'no such stream is open here'], 409)
            : self::answer(['cursor' => $cursor]);
    }

    /**
     * How many channels a user's stream has after a change. 0: it is not known here, or the hub's own limit is as low.
     *
     * @param list<string> $add    Patterns, as are those to remove.
     * @param list<string> $remove
     */
    private function countAfter(string $stream, string $user, array $add, array $remove): int
    {
        if ($stream === '' || $this->settings->maxChannels >= Rules::mostTopics()) {
            return 0;
        }
        $open = \sse_streams(stream: $stream)[$stream] ?? null;
        if ($open === null || $open['user'] !== $user) {
            return 0;
        }
        $isChannel = fn (string $topic): bool => $this->broadcaster()->topics->channel($topic) !== null;
        $after = array_diff([...array_filter($open['topics'], $isChannel), ...$add], $remove);

        return count(array_unique($after)) + $open['topic_count'] - count($open['topics']);
    }

    /**
     * What channels the client may have, by which topics it gets them, and why it may not have the others; and `socket`, the mark of
     * events that this page has sent with toOthers().
     */
    public function channels(Request $request): JsonResponse
    {
        self::leaveSession($request);
        $broadcaster = $this->broadcaster();
        $channels = $this->asked($request, $broadcaster->topics);

        $mark = Socket::of($request->header('X-Socket-ID'))->mark;
        $answer = (new StreamChannels($broadcaster, $request, $channels))->json($broadcaster->topics);

        return self::answer($mark === null ? $answer : $answer + ['socket' => $mark]);
    }

    /**
     * Who is on a presence channel, in pages: for lists that are too long for the stream. `after`: the last id of the page before.
     */
    public function members(Request $request): JsonResponse
    {
        self::leaveSession($request);
        $broadcaster = $this->broadcaster();
        $channel = self::text($request, 'channel');
        if (!ChannelTopics::isPresence($channel)) {
            throw new AccessDeniedHttpException();
        }
        $topic = $broadcaster->topics->topic($broadcaster->admit($request, $channel)->channel);
        $after = self::text($request, 'after');
        if (strlen($after) > self::LONGEST_ID || preg_match('//u', $after) !== 1) {
            throw new HttpException(422, "'after' is no id of a member");
        }
        $members = [];
        foreach (\sse_presence($topic, $after === '' ? null : $after, self::MEMBERS) as $id => $member) {
            $members[] = ['id' => (string) $id, 'info' => $member['info'], 'since' => (int) ($member['since'] * 1000)];
        }

        return self::answer(['count' => \sse_presence_count($topic), 'members' => $members]);
    }

    /** Publishes what a client says to the other clients of a private or presence channel that it may join itself. */
    public function whisper(Request $request): Response
    {
        self::leaveSession($request);
        if (!$this->settings->whispers) {
            throw new NotFoundHttpException();
        }
        $broadcaster = $this->broadcaster();
        $channel = self::text($request, 'channel');
        $type = self::text($request, 'event');
        if (preg_match('/^client-[^\p{Cc}]+$/Du', $type) !== 1 || strlen($type) > self::LONGEST_TYPE) {
            throw new HttpException(422, sprintf("a whisper's event begins with 'client-' and has at most %d bytes", self::LONGEST_TYPE));
        }
        $data = json_encode($request->input('data'), JSON_THROW_ON_ERROR);
        $most = $this->settings->whisperBytes;
        if (strlen($data) > $most) {
            throw new HttpException(413, "a whisper's data has at most $most bytes");
        }
        if (!$broadcaster->isGuardedChannel($channel)) {
            throw new AccessDeniedHttpException();
        }
        $topic = $broadcaster->topics->topic($broadcaster->admit($request, $channel)->channel);
        $this->publisher->publish(new Event(
            $topic,
            $data,
            type: $type,
            except: Socket::of($request->header('X-Socket-ID'))->stream,
        ));

        return new Response('', 204);
    }

    /** @return array<string, mixed> */
    private function options(Request $request, StreamChannels $found, ChannelTopics $topics): array
    {
        $user = $this->streamUser($request, $topics);
        $as = self::text($request, 'topicsAs');
        $refused = self::header($found);
        $options = ['stream_id' => true, 'reauthorize' => $this->settings->reauthorize];
        if ($as === 'field' || $as === 'envelope') {
            $options['topics_as'] = $as;
        }
        if ($user !== null) {
            $options['user'] = $user;
        }
        if ($found->member !== null) {
            $options['presence'] = ['id' => $found->member->id, 'info' => $found->member->info];
            $options['presence_events'] = true;
        }
        if ($refused !== '') {
            $options['headers'] = ['Sse-Refused' => $refused];
        }

        return $options + $this->settings->stream;
    }

    private function streamUser(Request $request, ChannelTopics $topics): ?string
    {
        $user = $request->user();

        return $user instanceof Authenticatable && $this->settings->userKey
            ? self::userKey($topics, $user->getAuthIdentifier())
            : null;
    }

    /** The option `user` of a user's streams. An id may be longer than the key. */
    public static function userKey(ChannelTopics $topics, mixed $id): string
    {
        $key = "$topics->prefix:" . (string) $id;

        return strlen($key) <= 255 ? $key : hash('sha256', $key);
    }

    private static function header(StreamChannels $found): string
    {
        $names = '';
        foreach ($found->refused as ['channel' => $channel]) {
            $name = $names === '' ? rawurlencode($channel) : $names . ',' . rawurlencode($channel);
            if (strlen($name) > self::LONGEST_HEADER) {
                return $names === '' ? self::MORE : $names . ',' . self::MORE;
            }
            $names = $name;
        }

        return $names;
    }

    /** @return non-empty-list<string> */
    private function asked(Request $request, ChannelTopics $topics): array
    {
        $most = $this->settings->maxChannels;
        $named = $request->input('channels', []);
        if (!is_array($named)) {
            throw new HttpException(422, 'channels[] is a list of names');
        }
        $channels = [];
        foreach ($named as $channel) {
            $channels[] = is_string($channel) ? $channel : throw new HttpException(422, 'channels[] is a list of names');
        }
        array_push($channels, ...$this->named($request, 'topics', $topics));
        $count = count($channels);

        return $channels !== [] && $count <= $most
            ? $channels
            : throw new HttpException(422, "ask for 1 to $most channels, and not $count");
    }

    /** @return list<string> the channels of topics that are joined by commas */
    private function named(Request $request, string $field, ChannelTopics $topics): array
    {
        $most = $this->settings->maxChannels;
        $named = self::text($request, $field);
        $channels = [];
        foreach ($named === '' ? [] : explode(',', $named, $most + 2) as $topic) {
            $channels[] = $topics->channel($topic)
                ?? throw new HttpException(422, "one of the topics is no channel's; this application's begin with '$topics->prefix.'");
        }

        return count($channels) <= $most ? $channels : throw new HttpException(422, "more than $most channels");
    }

    private function broadcaster(): SseBroadcaster
    {
        $broadcaster = $this->broadcasting->connection('sse');
        assert($broadcaster instanceof SseBroadcaster);

        return $broadcaster;
    }

    private static function text(Request $request, string $name): string
    {
        $value = $request->input($name);

        return is_string($value) ? $value : '';
    }

    /** @param array<string, mixed> $content */
    private static function answer(array $content, int $status = 200): JsonResponse
    {
        return new JsonResponse(
            $content,
            $status,
            ['Cache-Control' => 'no-store, private'],
            JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE,
        );
    }

    /** These requests are no pages: what is flashed is for the next one. See {@see AnswerJson} as well. */
    private static function leaveSession(Request $request): void
    {
        if ($request->hasSession()) {
            $request->session()->reflash();
        }
    }
}
