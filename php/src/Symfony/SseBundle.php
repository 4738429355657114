<?php

declare(strict_types=1);

namespace Sse\Symfony;

use Sse\Symfony\DependencyInjection\SseExtension;
use Symfony\Component\DependencyInjection\Extension\ExtensionInterface;
use Symfony\Component\HttpKernel\Bundle\Bundle;

/**
 * php-sse in a Symfony application, 5.4 to 7: services to be injected, and what sends after a commit.
 *
 * ```php
 * // config/bundles.php
 * return [
 *     // …
 *     Sse\Symfony\SseBundle::class => ['all' => true],
 * ];
 * ```
 *
 * {@see SseExtension} says which services there are; docs/guide/symfony.md shows each.
 */
final class SseBundle extends Bundle
{
    public function getContainerExtension(): ExtensionInterface
    {
        return new SseExtension();
    }
}
