<?php

declare(strict_types=1);

namespace Sse\Laravel;

use Illuminate\Auth\Access\AuthorizationException;
use Illuminate\Broadcasting\Broadcasters\Broadcaster;
use Illuminate\Broadcasting\Broadcasters\UsePusherChannelConventions;
use Illuminate\Broadcasting\BroadcastException;
use Illuminate\Contracts\Auth\Authenticatable;
use Illuminate\Database\Eloquent\ModelNotFoundException;
use Illuminate\Http\Request;
use Illuminate\Support\Arr;
use InvalidArgumentException;
use JsonException;
use Sse\Event;
use Sse\PublisherInterface;
use SseException;
use Symfony\Component\HttpKernel\Exception\AccessDeniedHttpException;
use UnexpectedValueException;

/**
 * The broadcaster of `BROADCAST_CONNECTION=sse`: what Laravel broadcasts is published to the hub.
 *
 * Channels are named as for Pusher and Reverb: `private-…` and `presence-…` are guarded by the callbacks of
 * routes/channels.php, all others are public. The event's type is the broadcast's name, its data the payload as JSON.
 */
final class SseBroadcaster extends Broadcaster
{
    use UsePusherChannelConventions;

    /** Bytes of JSON that the hub keeps of a member's info. */
    private const LARGEST_INFO = 4096;

    /** @param positive-int $mostTopics Channels of one publication: `sse.max_topics`. */
    public function __construct(
        private readonly PublisherInterface $publisher,
        public readonly ChannelTopics $topics,
        private readonly int $mostTopics = 100,
    ) {
    }

    /**
     * The answer of /broadcasting/auth, for clients that ask there.
     *
     * @param Request $request With `channel_name`.
     *
     * @return array{channel_data?: array{user_id: string, user_info: mixed}}
     *
     * @throws AccessDeniedHttpException The channel's callback does not allow it.
     */
    public function auth($request): array
    {
        $channel = $request->input('channel_name');
        $admission = $this->admit($request, is_string($channel) ? $channel : '');

        return $admission->id === null
            ? []
            : ['channel_data' => ['user_id' => $admission->id, 'user_info' => $admission->info]];
    }

    /**
     * What a channel's callback has said: {@see admit()} makes an answer of it.
     *
     * @param Request $request
     * @param mixed   $result
     */
    public function validAuthenticationResponse($request, $result): mixed
    {
        return $result;
    }

    /**
     * Asks the application whether this client may listen to a channel, and who they are there.
     *
     * @throws AccessDeniedHttpException The name has no topic, or the channel's callback does not allow it.
     * @throws UnexpectedValueException  What a presence channel's callback says is more than the hub keeps.
     */
    public function admit(Request $request, string $channel): Admission
    {
        // What is sent to such a channel is encrypted by a key that only Pusher's clients are given.
        if (!$this->topics->has($channel) || str_starts_with($channel, 'private-encrypted-')) {
            throw new AccessDeniedHttpException();
        }
        if (!$this->isGuardedChannel($channel)) {
            return new Admission($channel);
        }
        $name = $this->normalizeChannelName($channel);
        $user = $this->retrieveUser($request, $name);
        if (!$user instanceof Authenticatable) {
            throw new AccessDeniedHttpException();
        }
        try {
            $info = $this->verifyUserCanAccessChannel($request, $name);
        } catch (AuthorizationException | ModelNotFoundException $refusal) {
            throw new AccessDeniedHttpException($refusal->getMessage(), $refusal);
        }
        if (!ChannelTopics::isPresence($channel)) {
            return new Admission($channel);
        }
        $id = method_exists($user, 'getAuthIdentifierForBroadcasting')
            ? $user->getAuthIdentifierForBroadcasting()
            : $user->getAuthIdentifier();
        $size = strlen(json_encode($info, JSON_THROW_ON_ERROR));
        if ($size > self::LARGEST_INFO) {
            throw new UnexpectedValueException(sprintf(
                "the callback of channel '%s' says %d bytes of a member, at most %d can be told; return less",
                $name,
                $size,
                self::LARGEST_INFO,
            ));
        }

        return new Admission($channel, (string) $id, $info);
    }

    /**
     * Publishes an event to all channels, except to the stream of the `socket` that toOthers() has put into the payload; of that the
     * page's mark stays there.
     *
     * @param array<array-key, mixed> $channels Names, or objects with one.
     * @param string                  $event
     * @param array<array-key, mixed> $payload
     *
     * @throws BroadcastException Nobody took it in time, or it breaks a rule.
     */
    public function broadcast(array $channels, $event, array $payload = []): void
    {
        $socket = Socket::of(Arr::pull($payload, 'socket'));
        if ($socket->mark !== null) {
            $payload['socket'] = $socket->mark;
        }
        try {
            $topics = array_map($this->topicOf(...), $this->formatChannels($channels));
            foreach (array_chunk(array_values(array_unique($topics)), $this->mostTopics) as $part) {
                $this->publisher->publish(new Event($part, $payload, type: $event, except: $socket->stream));
            }
        } catch (SseException | JsonException | InvalidArgumentException $problem) {
            throw new BroadcastException("Event '$event' was not broadcast: {$problem->getMessage()}", 0, $problem);
        }
    }

    private function topicOf(string $channel): string
    {
        if (str_starts_with($channel, 'private-encrypted-')) {
            throw new InvalidArgumentException(
                "channel '$channel' is encrypted, which Pusher's clients can read only; use a PrivateChannel",
            );
        }

        return $this->topics->topic($channel);
    }
}
