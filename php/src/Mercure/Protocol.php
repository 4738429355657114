<?php

declare(strict_types=1);

namespace Sse\Mercure;

use Sse\Endpoint\Answer;

/** What differs from one version of Mercure's protocol to the other. */
interface Protocol
{
    /** The cookie that has the token, unless the site names another one. */
    public function cookie(): string;

    /** Whether the URL may have the token, as the parameter `authorization`. */
    public function takesTokenInUrl(): bool;

    /** What a token allows; null: it is none of this version. */
    public function claims(Token $token): ?Claims;

    /**
     * What a stream is to subscribe to, or why that is refused.
     *
     * @return list<Matcher>|Answer
     */
    public function matchers(Fields $query): array|Answer;

    /** The parameter by which a client names its last event. */
    public function lastEventIdParameter(): string;

    /** The response header that tells after which event a stream goes on. */
    public function lastEventIdHeader(): string;

    /** Why this update is refused, whoever publishes it; null: it is not. */
    public function refuseUpdate(Fields $form): ?Answer;

    /** The answer to a client without the right that it needs. */
    public function deny(Denial $why, string $text): Answer;

    /**
     * The names in the path of a list of subscriptions.
     *
     * @param list<string> $names Behind `/subscriptions`, decoded.
     *
     * @return array{?Matcher, ?string}|null Which matcher and subscriber; null: there is nothing by these names.
     */
    public function subscriptions(array $names): ?array;

    /**
     * The answer with active subscriptions.
     *
     * @param string      $url         The path that was asked for.
     * @param string      $json        Their documents, a JSON array; without its brackets if a single one was asked for.
     * @param bool        $isSingle    Whether it was.
     * @param string      $lastEventId Where a stream begins that misses no change.
     * @param string|null $next        A link to more of them.
     */
    public function list(string $url, string $json, bool $isSingle, string $lastEventId, ?string $next): Answer;

    /**
     * What the hub is told of a subscriber, so that its documents are of this version.
     *
     * @param array<string, mixed> $payloads What is shown of each, by the patterns of subscriptions; null: nothing.
     */
    public function subscriberInfo(array $payloads): mixed;

    /** What clients find out about the endpoint, at `/.well-known/oauth-protected-resource/.well-known/mercure`. */
    public function metadata(bool $subscriptions, string $cookie): Answer;
}
