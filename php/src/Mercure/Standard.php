<?php

declare(strict_types=1);

namespace Sse\Mercure;

use InvalidArgumentException;
use Sse\Endpoint\Answer;

/** Version 1.0 of the protocol: tokens are those of OAuth 2.0 (RFC 9068), errors those of its bearers (RFC 6750). */
final class Standard implements Protocol
{
    /** Most topics of an update, matchers of a stream, and matchers of a token. */
    private const MOST = 1000;
    private const METADATA = '/.well-known/oauth-protected-resource';
    /** The type of what a token grants that is Mercure's. */
    private const DETAIL = 'https://mercure.rocks/authorization-detail';
    /** What no topic, matcher, id and type may have: control characters, and those by which one looks like another. */
    private const INVISIBLE = '/[\p{Cc}\p{Cf}]/u';
    /** The event type of the hub's own updates. */
    private const OWN_TYPE = 'mercure';

    private readonly string $metadata;

    /**
     * @param string       $resource The endpoint's own URL, which tokens have to be for: `aud`.
     * @param string       $issuer   Whose tokens are taken: `iss`. The keys are this issuer's.
     * @param list<string> $servers  The authorization servers that clients are told of; none if the site signs its tokens itself.
     *
     * @throws InvalidArgumentException The resource is no URL, or there is no issuer.
     */
    public function __construct(
        private readonly string $resource,
        private readonly string $issuer,
        private readonly array $servers = [],
    ) {
        if (preg_match('~^(https?://[^/?#"\s]+)([^?#"\s]*)$~D', $resource, $match) !== 1) {
            throw new InvalidArgumentException("'$resource' is not the URL of this endpoint, which tokens of version 1.0 name as aud");
        }
        if ($issuer === '') {
            throw new InvalidArgumentException('an issuer has to be named, which tokens of version 1.0 have as iss');
        }
        $this->metadata = $match[1] . self::METADATA . $match[2];
    }

    /** Whether a path is that of what clients find out about an endpoint. */
    public static function isMetadata(string $path): bool
    {
        return str_contains($path, self::METADATA);
    }

    public function cookie(): string
    {
        return '__Secure-mercure_access_token';
    }

    public function takesTokenInUrl(): bool
    {
        return false;
    }

    public function claims(Token $token): ?Claims
    {
        $type = $token->header['typ'] ?? null;
        $audience = $token->claims['aud'] ?? null;
        $audiences = is_array($audience) ? $audience : [$audience];
        if (!is_string($type) || preg_match('~^(?:application/)?at\+jwt$~Di', $type) !== 1 || $token->expires === null) {
            return null;
        }
        if (($token->claims['iss'] ?? null) !== $this->issuer || !in_array($this->resource, $audiences, true)) {
            return null;
        }
        $details = $token->claims['authorization_details'] ?? [];
        if (!is_array($details) || !array_is_list($details)) {
            return null;
        }
        $grants = [];
        foreach ($details as $nth => $detail) {
            if (!is_array($detail)) {
                return null;
            }
            if (($detail['type'] ?? null) === self::DETAIL) {
                $grant = Grant::of($detail, $token->plain('authorization_details', $nth, 'payload'));
                if ($grant === null) {
                    return null;
                }
                $grants[] = $grant;
            }
        }

        return self::together($grants, $token->expires);
    }

    public function matchers(Fields $query): array|Answer
    {
        $matchers = [];
        foreach ($query->names() as $name) {
            if (strncasecmp($name, 'match', 5) !== 0) {
                continue;
            }
            $type = ['match' => 'exact', 'match_exact' => 'exact', 'match_urlpattern' => 'urlpattern'][$name] ?? null;
            if ($type === null) {
                $shown = substr((string) preg_replace('/[^ -~]/', '?', $name), 0, 40);

                return Text::answer(400, "There is no parameter '$shown'; there are match, match_exact and match_urlpattern");
            }
            foreach ($query->all($name) as $text) {
                if (!self::isVisible($text)) {
                    return Text::answer(400, "A value of '$name' is not UTF-8, or has control or format characters");
                }
                $matchers[] = Matcher::of($type, $text);
            }
        }
        if ($matchers === []) {
            return Text::answer(400, 'The parameter match or match_urlpattern has to say what to subscribe to');
        }

        return count($matchers) > self::MOST ? Text::answer(400, 'There are too many matchers') : $matchers;
    }

    public function lastEventIdParameter(): string
    {
        return 'last_event_id';
    }

    public function lastEventIdHeader(): string
    {
        return 'Mercure-Last-Event-ID';
    }

    public function refuseUpdate(Fields $form): ?Answer
    {
        $topics = $form->all('topic');
        if (count($topics) > self::MOST) {
            return Text::answer(413, 'There are too many topics');
        }
        foreach (['topic' => $topics, 'id' => [$form->first('id')], 'type' => [$form->first('type')]] as $name => $values) {
            if (array_filter($values, self::isVisible(...)) !== $values) {
                return Text::answer(400, "The field '$name' is not UTF-8, or has control or format characters");
            }
        }
        foreach ($topics as $topic) {
            if ($topic === '*' || Reserved::has($topic)) {
                return Text::answer(400, 'The topic * and those at or below ' . Subscriptions::HUB . ' are the hub\'s own');
            }
        }
        $id = $form->first('id');
        if (str_starts_with($id, '#') || $id === 'earliest') {
            return Text::answer(400, 'An id must not begin with #, and not be "earliest"');
        }

        return $form->first('type') === self::OWN_TYPE
            ? Text::answer(400, 'The type "mercure" is that of the hub\'s own updates')
            : null;
    }

    public function deny(Denial $why, string $text): Answer
    {
        [$status, $error] = match ($why) {
            Denial::NoToken => [401, ''],
            Denial::InvalidToken => [401, 'error="invalid_token", '],
            Denial::InvalidRequest => [400, 'error="invalid_request", '],
            Denial::InsufficientScope => [403, 'error="insufficient_scope", '],
        };
        $challenge = "Bearer {$error}resource_metadata=\"$this->metadata\"";

        return Text::answer($status, $text)->with(['WWW-Authenticate' => $challenge]);
    }

    public function subscriptions(array $names): ?array
    {
        if ($names === []) {
            return [null, null];
        }
        $known = count($names) > 1 && in_array($names[0], Matcher::TYPES, true);

        return $known ? [Matcher::of($names[0], $names[1]), $names[2] ?? null] : null;
    }

    public function list(string $url, string $json, bool $isSingle, string $lastEventId, ?string $next): Answer
    {
        $id = (string) json_encode($url, JSON_UNESCAPED_SLASHES);
        $cursor = addcslashes($lastEventId, '"\\');
        $link = "<$this->resource>; rel=\"mercure\"; last-event-id=\"$cursor\"; type=\"mercure\"; content-type=\"application/json\"";

        return new Answer(200, $isSingle ? $json : "{\"id\":$id,\"type\":\"subscriptions\",\"subscriptions\":$json}", [
            'Content-Type' => 'application/json',
            'Link' => $link . ($next === null ? '' : ", <$next>; rel=\"next\""),
            'Access-Control-Expose-Headers' => 'Link',
        ]);
    }

    public function subscriberInfo(array $payloads): mixed
    {
        $given = array_filter($payloads, static fn (mixed $payload): bool => $payload !== null);
        $one = reset($given);
        // Mostly one for all, which need not be kept for each.
        $isOne = count($given) === count($payloads) && array_filter($given, static fn (mixed $other): bool => $other !== $one) === [];
        $shown = match (true) {
            $given === [] => [],
            $isOne => ['payload' => $one],
            default => ['payloads' => $given],
        };

        return ['version' => '1.0'] + $shown;
    }

    public function metadata(bool $subscriptions, string $cookie): Answer
    {
        return Answer::json([
            'resource' => $this->resource,
            ...($this->servers === [] ? [] : ['authorization_servers' => $this->servers]),
            'authorization_details_types_supported' => [self::DETAIL],
            'bearer_methods_supported' => ['header'],
            'mercure_cookie' => $cookie,
            'mercure_matcher_types_supported' => Matcher::TYPES,
            ...($subscriptions ? ['mercure_subscriptions' => true] : []),
        ]);
    }

    /** Whether a text is UTF-8 of which all can be seen. */
    public static function isVisible(string $text): bool
    {
        return preg_match(self::INVISIBLE, $text) === 0;
    }

    /** @param list<Grant> $grants */
    private static function together(array $grants, int $expires): ?Claims
    {
        $count = array_sum(array_map(static fn (Grant $grant): int => count($grant->matchers), $grants));
        if ($count > self::MOST) {
            return null;
        }
        $of = static fn (string $action): array => array_merge([], ...array_map(
            static fn (Grant $grant): array => in_array($action, $grant->actions, true) ? $grant->matchers : [],
            $grants,
        ));
        $payloads = [];
        foreach ($grants as $grant) {
            if (in_array('subscribe', $grant->actions, true)) {
                $payloads[] = ['matchers' => $grant->matchers, 'payload' => $grant->payload];
            }
        }

        return new Claims($of('publish'), $of('subscribe'), $expires, $payloads);
    }
}
