<?php

declare(strict_types=1);

namespace Sse\Mercure;

use Symfony\Component\Mercure\HubInterface;
use Symfony\Component\Mercure\Jwt\StaticTokenProvider;
use Symfony\Component\Mercure\Jwt\TokenFactoryInterface;
use Symfony\Component\Mercure\Jwt\TokenProviderInterface;
use Symfony\Component\Mercure\Update;

/**
 * The hub of symfony/mercure that publishes by the extension: no request, and no publisher's token. What uses the
 * interface publishes by it: the bundle, ux-turbo, API Platform, Messenger, Notifier.
 *
 * ```php
 * $hub = new Hub('https://example.com/.well-known/mercure');
 * $hub->publish(new Update('https://example.com/books/1', json_encode($book)));
 * ```
 */
final class Hub implements HubInterface
{
    /**
     * @param string                      $url       Where browsers subscribe: the URL of the endpoint.
     * @param TokenFactoryInterface|null  $factory   Makes subscribers' tokens, where Symfony sets their cookies.
     * @param Publisher                   $publisher What it publishes by.
     * @param TokenProviderInterface|null $provider  For code that asks for a publisher's token; null: it gets an empty
     *                                               one.
     */
    public function __construct(
        private readonly string $url,
        private readonly ?TokenFactoryInterface $factory = null,
        private readonly Publisher $publisher = new Publisher(),
        private readonly ?TokenProviderInterface $provider = null,
    ) {
    }

    public function getUrl(): string
    {
        return $this->url;
    }

    public function getPublicUrl(): string
    {
        return $this->url;
    }

    public function getProvider(): TokenProviderInterface
    {
        return $this->provider ?? new StaticTokenProvider('');
    }

    public function getFactory(): ?TokenFactoryInterface
    {
        return $this->factory;
    }

    /**
     * {@inheritDoc}
     *
     * @throws \SseException As of {@see Publisher::publish()}.
     */
    public function publish(Update $update): string
    {
        /** @var array<string> $topics */
        $topics = $update->getTopics();

        return $this->publisher->publish(
            $topics,
            $update->getData(),
            $update->isPrivate(),
            $update->getId(),
            $update->getType(),
            $update->getRetry(),
        );
    }
}
