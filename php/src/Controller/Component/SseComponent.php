<?php

declare(strict_types=1);

namespace Sse\Controller\Component;

use Cake\Controller\Component;
use Psr\Http\Message\ResponseInterface;

/**
 * CakePHP's way to {@see \Sse\Component}. The stream is opened when CakePHP emits the response.
 *
 * ```php
 * $this->loadComponent('Sse.Sse');        // in initialize()
 *
 * return $this->Sse->stream(              // in an action
 *     fn () => $this->Notifications->find('unread')->all(),
 *     "notifications_user_$userId",
 * );
 * ```
 */
class SseComponent extends Component
{
    /**
     * @param callable             $callback see {@see \Sse\Component::stream()}
     * @param string|array<string> $topics   the same
     * @param array<string, mixed> $options  the same
     *
     * @return ResponseInterface the controller's response, to be returned by the action
     */
    public function stream(callable $callback, string|array $topics, array $options = []): ResponseInterface
    {
        return (new \Sse\Component($this->getController()->getResponse()))->stream($callback, $topics, $options);
    }
}
