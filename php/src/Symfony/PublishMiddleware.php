<?php

declare(strict_types=1);

namespace Sse\Symfony;

use Sse\Publisher\TransactionPublisher;
use Symfony\Component\Messenger\Envelope;
use Symfony\Component\Messenger\Middleware\MiddlewareInterface;
use Symfony\Component\Messenger\Middleware\StackInterface;
use Throwable;

/**
 * Sends what a message's handlers publish when all of them have succeeded, and drops it when one has failed: the message
 * comes again then.
 *
 * ```yaml
 * framework:
 *     messenger:
 *         buses:
 *             messenger.bus.default:
 *                 middleware: [Sse\Symfony\PublishMiddleware]    # before doctrine_transaction
 * ```
 */
final class PublishMiddleware implements MiddlewareInterface
{
    public function __construct(private readonly TransactionPublisher $publisher)
    {
    }

    public function handle(Envelope $envelope, StackInterface $stack): Envelope
    {
        // A handler may dispatch another message, which comes through here, too.
        $this->publisher->begin($envelope);
        try {
            $handled = $stack->next()->handle($envelope, $stack);
        } catch (Throwable $problem) {
            $this->publisher->rollBack($envelope);

            throw $problem;
        }
        $this->publisher->commit($envelope);

        return $handled;
    }
}
