<?php

declare(strict_types=1);

namespace App;

use Doctrine\DBAL\Connection;
use Sse\Event;
use Sse\PublisherInterface;
use Sse\Stream;
use Sse\Symfony\EventStreamResponse;
use Sse\Symfony\StreamResponse;
use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\Messenger\MessageBusInterface;
use Twig\Environment;

final class Controller
{
    public function __construct(private readonly PublisherInterface $publisher)
    {
    }

    public function hello(): Response
    {
        return new Response('hello from the bundle');
    }

    public function publish(Request $request): Response
    {
        $data = $request->request->get('data');

        return new JsonResponse([
            'id' => $this->publisher->publish(new Event($request->request->get('topic'), $data)),
            'publisher' => $this->publisher::class,
        ]);
    }

    public function stream(Request $request): Response
    {
        return new StreamResponse(new Stream(explode(',', $request->query->get('topics')), retry: 700));
    }

    public function render(): Response
    {
        return new EventStreamResponse('orders.*', static fn (array $events): int => count($events), event: 'count');
    }

    public function page(Environment $twig): Response
    {
        return new Response($twig->render('page.html.twig'));
    }

    /** A row and its event in one transaction: `during` says what a reader finds in the table before the commit. */
    public function order(Request $request, Connection $connection): Response
    {
        $connection->executeStatement('CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY)');
        $number = $request->request->getInt('order');
        $connection->beginTransaction();
        $connection->executeStatement('INSERT INTO orders VALUES (?)', [$number]);
        $ids = [$this->publisher->publish(new Event("orders.$number", 'before the commit'))];
        if ($request->request->getBoolean('fail')) {
            $connection->rollBack();
        } else {
            $connection->commit();
        }
        $ids[] = $this->publisher->publish(new Event("orders.$number", 'after the end'));

        return new JsonResponse(['ids' => $ids]);
    }

    public function message(Request $request, MessageBusInterface $bus): Response
    {
        try {
            $bus->dispatch(new Pay($request->request->getInt('order'), $request->request->getBoolean('fail')));
        } catch (\Throwable $problem) {
            return new JsonResponse(['failed' => $problem->getPrevious()?->getMessage()]);
        }

        return new JsonResponse(['failed' => null]);
    }
}
